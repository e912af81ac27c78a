#include "bindings/bindings.hpp"

PYBIND11_MODULE(_native, module) {
  module.doc() =
      "Timing core and the runtimes that it drives. Wrapped by lutra.profiler; not a public interface.";
  bind_timing(module);
  bind_statistics(module);
  bind_ort(module);
  bind_xnnpack(module);
  bind_onednn(module);
  bind_gpu_sim(module);
  bind_mcu(module);
  bind_gpu(module);
  bind_cpu_sim(module);
#if LUTRA_HAVE_CPU
  bind_cpu(module);
#endif
}
