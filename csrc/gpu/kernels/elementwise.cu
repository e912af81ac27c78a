// Functions of one and two tensors, and what follows a convolution or matrix product: bias, residual, activation.

LUTRA_KERNEL(unary)(const Element* x, Element* y, unsigned count, int function, float a, float b) {
  const unsigned packs = count / LUTRA_PACK;
  for (unsigned i = LUTRA_THREAD; i < packs; i += LUTRA_THREADS) {
    Pack pack = reinterpret_cast<const Pack*>(x)[i];
#pragma unroll
    for (int j = 0; j < LUTRA_PACK; ++j) pack.values[j] = narrow(unary_of(function, widen(pack.values[j]), a, b));
    reinterpret_cast<Pack*>(y)[i] = pack;
  }
  for (unsigned i = packs * LUTRA_PACK + LUTRA_THREAD; i < count; i += LUTRA_THREADS)
    y[i] = narrow(unary_of(function, widen(x[i]), a, b));
}

/// Both operands have the shape of the output.
LUTRA_KERNEL(binary)(const Element* a, const Element* b, Element* y, unsigned count, int function) {
  const unsigned packs = count / LUTRA_PACK;
  for (unsigned i = LUTRA_THREAD; i < packs; i += LUTRA_THREADS) {
    const Pack left = reinterpret_cast<const Pack*>(a)[i];
    const Pack right = reinterpret_cast<const Pack*>(b)[i];
    Pack result;
#pragma unroll
    for (int j = 0; j < LUTRA_PACK; ++j)
      result.values[j] = narrow(binary_of(function, widen(left.values[j]), widen(right.values[j])));
    reinterpret_cast<Pack*>(y)[i] = result;
  }
  for (unsigned i = packs * LUTRA_PACK + LUTRA_THREAD; i < count; i += LUTRA_THREADS)
    y[i] = narrow(binary_of(function, widen(a[i]), widen(b[i])));
}

/// Axes of a tensor from the slowest to the fastest of the output's memory, and how far apart the elements of
/// each operand lie; csrc/gpu/functions.hpp has the same.
struct Axes {
  unsigned size[6];
  long long first[6];
  long long second[6];
};

/// Operands are repeated where their stride is 0.
LUTRA_KERNEL(binary_broadcast)(const Element* a, const Element* b, Element* y, unsigned count, int function,
                               Axes axes) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    unsigned rest = i;
    long long left = 0;
    long long right = 0;
#pragma unroll
    for (int axis = 5; axis >= 0; --axis) {
      const unsigned index = rest % axes.size[axis];
      rest /= axes.size[axis];
      left += index * axes.first[axis];
      right += index * axes.second[axis];
    }
    y[i] = narrow(binary_of(function, widen(a[left]), widen(b[right])));
  }
}

/// y = activation(x + bias + residual), where bias and residual may be absent; x may be y. The channel of element i
/// is (i / inner) % channels.
LUTRA_KERNEL(epilogue)(const Element* x, Element* y, const Vector* bias, const Element* residual, unsigned count,
                       unsigned channels, unsigned inner, int function, float a, float b) {
  const unsigned packs = count / LUTRA_PACK;
  for (unsigned i = LUTRA_THREAD; i < packs; i += LUTRA_THREADS) {
    Pack pack = reinterpret_cast<const Pack*>(x)[i];
    Pack added;
    if (residual) added = reinterpret_cast<const Pack*>(residual)[i];
#pragma unroll
    for (int j = 0; j < LUTRA_PACK; ++j) {
      float value = widen(pack.values[j]);
      if (bias) value += widen_vector(bias[(i * LUTRA_PACK + j) / inner % channels]);
      if (residual) value += widen(added.values[j]);
      pack.values[j] = narrow(unary_of(function, value, a, b));
    }
    reinterpret_cast<Pack*>(y)[i] = pack;
  }
  for (unsigned i = packs * LUTRA_PACK + LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    float value = widen(x[i]);
    if (bias) value += widen_vector(bias[i / inner % channels]);
    if (residual) value += widen(residual[i]);
    y[i] = narrow(unary_of(function, value, a, b));
  }
}

/// Batch normalisation with stored statistics; the channel is found as in `epilogue`.
LUTRA_KERNEL(batch_norm)(const Element* x, Element* y, const Element* gamma, const Element* beta,
                         const Element* mean, const Element* variance, unsigned count, unsigned channels,
                         unsigned inner, float eps) {
  for (unsigned i = LUTRA_THREAD; i < count; i += LUTRA_THREADS) {
    const unsigned c = i / inner % channels;
    float value = (widen(x[i]) - widen(mean[c])) * rsqrtf(widen(variance[c]) + eps);
    if (gamma) value = value * widen(gamma[c]) + widen(beta[c]);
    y[i] = narrow(value);
  }
}
