"""HAT's space of transformers for translation (arXiv:2005.14187).

An encoder of six layers and a decoder of one to six, with elastic widths of embeddings, feed-forward layers and heads;
each decoder layer attends to the outputs of the last one, two or three layers of the encoder. Queries, keys and values
have 512 features whatever the width of the embeddings. Choices and details are those of
github.com/mit-han-lab/hardware-aware-transformers.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Final

import numpy as np
import numpy.typing as npt

from ...networks import Network, NetworkBuilder, TensorType
from ...networks.errors import UsageError
from ...networks.lowering.blocks import Block
from ._mobile import nothing
from ._registry import register
from .base import Codes, Decision, SearchSpace
from .costs import Costs

FEATURES: Final = (
    *("encoder_embed_dim", "encoder_layer_num", "encoder_ffn_embed_dim_avg", "encoder_self_attention_heads_avg"),
    *("decoder_embed_dim", "decoder_layer_num", "decoder_ffn_embed_dim_avg", "decoder_self_attention_heads_avg"),
    *("decoder_ende_attention_heads_avg", "decoder_arbitrary_ende_attn_avg"),
)
"""What HAT's latency predictors read, under the names and in the order of its data sets; see `HatSpace.features`."""

LAYERS: Final = 6
EMBEDDINGS: Final = (512, 640)
ATTENDED: Final = (1, 2, 3)
"""How many of the encoder's last layers a decoder layer attends to."""

_QKV: Final = 512


_ENCODER, _DECODER, _DEPTH, _LAYERS = range(4)  # columns; of the layers, all of the encoder's come first
_PER_ENCODER_LAYER, _PER_DECODER_LAYER = 2, 4


class HatSpace(SearchSpace):
    """Codes: widths of the encoder's and of the decoder's embeddings, depth of the decoder; for each encoder layer its
    feed-forward width and heads; for each of six decoder layers its feed-forward width, heads of the attention to
    itself and to the encoder, and how many encoder layers it attends to.

    A decoder uses its first layers; the choices of the others are 0 in canonical codes.

    Networks read one sentence and one translation, as integer tokens, and give scores of the next token at each place
    of the translation, as in training; a translation is written one token after the other. Embeddings, which the
    output shares its weights with, count among parameters; HAT's own figures leave them out.

    Args:
        name: of the space.
        ffn: widths that feed-forward layers choose from, rising.
        heads: numbers of heads that attentions choose from, rising; each divides 512.
        tokens: length of both sentences; HAT measures 30 for WMT.
        vocabulary: tokens that are told apart.

    Raises:
        UsageError: numbers that make no transformer.
    """

    def __init__(
        self, name: str, ffn: tuple[int, ...], heads: tuple[int, ...], *, tokens: int, vocabulary: int = 32768
    ) -> None:
        if min(*ffn, *heads, tokens, vocabulary) < 1 or any(_QKV % count for count in heads):
            raise UsageError(
                f"there is no transformer with {heads} heads, {ffn} features and {tokens} of {vocabulary} tokens",
                hint=f"use 1 or more of each, and numbers of heads that divide {_QKV}",
            )
        widths, attended = _texts(EMBEDDINGS), _texts(ATTENDED)
        decisions = [Decision("encoder width", widths), Decision("decoder width", widths)]
        decisions.append(Decision("decoder depth", _texts(range(1, LAYERS + 1))))
        for i in range(LAYERS):
            decisions.append(Decision(f"encoder layer {i} feed-forward", _texts(ffn)))
            decisions.append(Decision(f"encoder layer {i} heads", _texts(heads)))
        for i in range(LAYERS):
            when = (_DEPTH, i) if i else None
            decisions.append(Decision(f"decoder layer {i} feed-forward", _texts(ffn), when))
            decisions.append(Decision(f"decoder layer {i} heads", _texts(heads), when))
            decisions.append(Decision(f"decoder layer {i} heads to the encoder", _texts(heads), when))
            decisions.append(Decision(f"decoder layer {i} encoder layers attended to", attended, when))
        super().__init__(name, decisions)
        self._ffn, self._heads, self._vocabulary = ffn, heads, vocabulary
        self._sentence = TensorType((1, tokens), "int64")

    def features(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """What HAT's latency predictors read of architectures: n x d codes to n x 10 numbers, named by `FEATURES`.

        Widths, depths, and means over the layers of feed-forward widths, heads, and encoder layers attended to
        (``get_config_features`` in the authors' fairseq/utils.py).

        Raises:
            UsageError: not valid codes.
        """
        given = self.validate(codes)
        encoder, decoder = self._layers(given)
        depth = given[:, _DEPTH] + 1
        there = np.arange(LAYERS) < depth[:, None]
        ffn, heads = np.array(self._ffn), np.array(self._heads)
        columns = [
            np.array(EMBEDDINGS)[given[:, _ENCODER]],
            np.full(len(given), LAYERS),
            *(values[encoder[:, :, i]].mean(axis=1) for i, values in enumerate((ffn, heads))),
            np.array(EMBEDDINGS)[given[:, _DECODER]],
            depth,
            *(
                (values[decoder[:, :, i]] * there).sum(axis=1) / depth
                for i, values in enumerate((ffn, heads, heads, np.array(ATTENDED)))
            ),
        ]
        return np.stack(columns, axis=1).astype(np.float64)

    def _layers(self, codes: Codes) -> tuple[Codes, Codes]:
        """Choices of the encoder's layers, n x 6 x 2, and of the decoder's, n x 6 x 4."""
        split = _LAYERS + LAYERS * _PER_ENCODER_LAYER
        encoder, decoder = codes[:, _LAYERS:split], codes[:, split:]
        return encoder.reshape(-1, LAYERS, _PER_ENCODER_LAYER), decoder.reshape(-1, LAYERS, _PER_DECODER_LAYER)

    def _network(self, code: Codes) -> Network:
        encoder, decoder = (layers[0].tolist() for layers in self._layers(code))
        decoder = decoder[: code[0, _DEPTH] + 1]
        b = NetworkBuilder(self.name)
        sentences = [b.input(self._sentence.shape, self._sentence.dtype, name=name) for name in ("source", "target")]
        x, y, tied = self._embed(*code[0, [_ENCODER, _DECODER]].tolist())(b, *sentences)
        outputs = []
        for i, choices in enumerate(encoder):
            with b.scope(f"encoder.layers.{i}"):
                x = self._encoder_layer(*choices)(b, x)
            outputs.append(x)
        attended = {
            count: _joined(b, outputs[-1 : -1 - count : -1]) for count in sorted({ATTENDED[c[-1]] for c in decoder})
        }
        for i, choices in enumerate(decoder):
            with b.scope(f"decoder.layers.{i}"):
                y = self._decoder_layer(*choices[:-1])(b, y, attended[ATTENDED[choices[-1]]])
        return b.build(b.op("linear", y, name="output", out_features=self._vocabulary, bias=False, weights_from=tied))

    def costs(self, codes: npt.ArrayLike) -> Costs:
        given = self.validate(codes)
        encoder, decoder = self._layers(given)
        widths, depth = given[:, [_ENCODER, _DECODER]], given[:, _DEPTH]
        total = Costs.by_key(widths, self._counted_ends)
        for i in range(LAYERS):
            total += Costs.by_key(np.column_stack([widths[:, 0], encoder[:, i]]), self._counted_encoder_layer)
            # A layer that is not there is of kind 0 and costs nothing, whatever its choices.
            keys = np.column_stack([depth >= i, widths, decoder[:, i]])
            total += Costs.by_key(keys, self._counted_decoder_layer)
        return total

    def covering(self) -> list[Network]:
        """Four networks with every layer between embeddings of every width."""
        ffn, heads = len(self._ffn), len(self._heads)
        rows = []
        for wide, narrow in product(range(len(EMBEDDINGS)), repeat=2):
            encoder = [c for i in range(LAYERS) for c in (i % ffn, i // ffn % heads)]
            decoder = [
                c for i in range(LAYERS) for c in (i % ffn, i % heads, i // len(ATTENDED) % heads, i % len(ATTENDED))
            ]
            rows.append([wide, narrow, LAYERS - 1, *encoder, *decoder])
        return [self.decode(row) for row in rows]

    def _embed(self, wide: int, narrow: int) -> Callable[..., tuple[str, str, str]]:
        return partial(_embed, encoder=EMBEDDINGS[wide], decoder=EMBEDDINGS[narrow], vocabulary=self._vocabulary)

    def _encoder_layer(self, ffn: int, heads: int) -> Block:
        return partial(_encoder_layer, ffn=self._ffn[ffn], heads=self._heads[heads])

    def _decoder_layer(self, ffn: int, heads: int, across: int) -> Callable[..., str]:
        return partial(_decoder_layer, ffn=self._ffn[ffn], heads=self._heads[heads], across=self._heads[across])

    def _counted_ends(self, wide: int, narrow: int) -> Network:
        block = partial(_ends, embed=self._embed(wide, narrow), vocabulary=self._vocabulary)
        return self._builder.build(block, self._sentence, self._sentence).network

    def _counted_encoder_layer(self, wide: int, *choices: int) -> Network:
        return self._builder.build(self._encoder_layer(*choices), self._embedded(wide)).network

    def _counted_decoder_layer(self, there: int, wide: int, narrow: int, *choices: int) -> Network:
        if not there:
            return self._builder.build(nothing, self._embedded(narrow)).network
        memory = self._embedded(wide, ATTENDED[choices[-1]])
        return self._builder.build(self._decoder_layer(*choices[:-1]), self._embedded(narrow), memory).network

    def _embedded(self, width: int, sentences: int = 1) -> TensorType:
        return TensorType((1, sentences * self._sentence.shape[1], EMBEDDINGS[width]))


@register("hat-wmt", 30)
def hat_wmt(tokens: tuple[int, ...]) -> HatSpace:
    """HAT's space for WMT'14 and WMT'19 ("space0"), for sentences of 30 tokens, or of as many as are asked for."""
    return _space("hat-wmt", (1024, 2048, 3072), (4, 8), tokens)


@register("hat-iwslt", 23)
def hat_iwslt(tokens: tuple[int, ...]) -> HatSpace:
    """HAT's space for IWSLT'14 ("space1"), for sentences of 23 tokens, or of as many as are asked for."""
    return _space("hat-iwslt", (512, 1024, 2048), (2, 4), tokens)


def _space(name: str, ffn: tuple[int, ...], heads: tuple[int, ...], tokens: tuple[int, ...]) -> HatSpace:
    if len(tokens) != 1:
        raise UsageError(f"{name} takes sentences of one length", hint=f"write {name}@{tokens[0]}")
    return HatSpace(name, ffn, heads, tokens=tokens[0])


def _texts(numbers: Iterable[int]) -> tuple[str, ...]:
    return tuple(map(str, numbers))


def _joined(b: NetworkBuilder, outputs: Sequence[str]) -> str:
    """Outputs of encoder layers, one sentence behind the other."""
    return outputs[0] if len(outputs) == 1 else b.op("concat", *outputs, name=f"last_{len(outputs)}", axis=1)


def _embed(
    b: NetworkBuilder, source: str, target: str, *, encoder: int, decoder: int, vocabulary: int
) -> tuple[str, str, str]:
    """Embedded sentences, and the node whose weights the output shares.

    The authors' super-net has one table for all three; where widths differ, the decoder's is a table of its own here.
    """
    owner, made = "", []
    for side, tokens, width in (("encoder", source, encoder), ("decoder", target, decoder)):
        with b.scope(side):
            shared = owner if encoder == decoder else ""
            table = {"num_embeddings": vocabulary, "embedding_dim": width}
            x = b.op("embedding", tokens, name="embed_tokens", weights_from=shared, **table)
            owner = shared or x
            x = b.op("mul", x, b.op("constant", name="scale", values=(math.sqrt(width),)), name="scaled")
            places = b.op("constant", name="embed_positions", shape=b.shape(x))  # sines of the place: not learned
            made.append(b.op("add", x, places, name="placed"))
    return made[0], made[1], owner


def _ends(
    b: NetworkBuilder, source: str, target: str, *, embed: Callable[..., tuple[str, str, str]], vocabulary: int
) -> str:
    _, y, tied = embed(b, source, target)
    return b.op("linear", y, name="output", out_features=vocabulary, bias=False, weights_from=tied)


def _encoder_layer(b: NetworkBuilder, x: str, *, ffn: int, heads: int) -> str:
    with b.scope("self_attn"):
        x = _added(b, x, _attention(b, x, x, heads))
    with b.scope("ffn"):
        return _added(b, x, _feed_forward(b, x, ffn))


def _decoder_layer(b: NetworkBuilder, y: str, memory: str, *, ffn: int, heads: int, across: int) -> str:
    with b.scope("self_attn"):
        y = _added(b, y, _attention(b, y, y, heads, causal=True))
    with b.scope("encoder_attn"):
        y = _added(b, y, _attention(b, y, memory, across))
    with b.scope("ffn"):
        return _added(b, y, _feed_forward(b, y, ffn))


def _added(b: NetworkBuilder, x: str, made: str) -> str:
    """The shortcut and the norm behind it."""
    return b.op("layer_norm", b.op("add", x, made, name="add"), name="norm")


def _attention(b: NetworkBuilder, x: str, memory: str, heads: int, *, causal: bool = False) -> str:
    """Each place of ``x``, 1 x T x D, attends to those of ``memory``, 1 x S x E, with 512 features over all heads."""
    parts = []
    for letter, value in (("q", x), ("k", memory), ("v", memory)):
        part = b.op("linear", value, name=f"{letter}_proj", out_features=_QKV)
        part = b.op("reshape", part, name=f"{letter}_heads", shape=(*b.shape(part)[:2], heads, _QKV // heads))
        parts.append(b.op("transpose", part, name=letter, perm=(0, 2, 1, 3)))
    y = b.op("sdpa", *parts, name="sdpa", causal=causal)
    y = b.op("transpose", y, name="from_heads", perm=(0, 2, 1, 3))
    y = b.op("reshape", y, name="join", shape=(*b.shape(y)[:2], _QKV))
    return b.op("linear", y, name="out_proj", out_features=b.shape(x)[-1])


def _feed_forward(b: NetworkBuilder, x: str, features: int) -> str:
    y = b.op("relu", b.op("linear", x, name="fc1", out_features=features), name="relu")
    return b.op("linear", y, name="fc2", out_features=b.shape(x)[-1])
