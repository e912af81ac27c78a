"""1,407 convolutions measured on an STM32F446, simulated (`lutra validate-mcu`)."""

from typing import Any

from lutra.profiler.mcu.boards import board_of
from lutra.profiler.mcu.engines import engine_of
from lutra.profiler.mcu.simulator import McuSimulator
from lutra.service.board_validation import read_measurements, validate_board

from ._mcu_data import FOLDER

BOARD, ENGINE = "stm32f446", "tflm-like"


def measure() -> dict[str, Any]:
    """What `lutra validate-mcu` finds, as plain JSON."""
    simulator = McuSimulator(board_of(BOARD), engine_of(ENGINE))
    measurements = read_measurements(FOLDER / "stm32f446_ops.csv")
    return validate_board(simulator, measurements, board=BOARD, engine=ENGINE).to_dict()


def lines(found: dict[str, Any]) -> list[str]:
    """The result as text."""
    return [
        f"{found['layers']} convolutions measured on {BOARD} with CMSIS-NN, by {ENGINE}:",
        f"    nothing fitted: bias {found['bias_pct']:+.1f} %, MAPE {found['mape_pct']:.1f} %",
        f"    one factor {found['scale']:.3f} from ten layers: MAPE {found['scaled_mape_pct']:.1f} %, "
        f"p95 {found['scaled_p95_pct']:.1f} %, Spearman {found['spearman']:.4f}",
    ]
