"""REINFORCE: a recurrent controller makes networks choice by choice, and learns from what became of them."""

from my_problem import oracle, within_budget

from lutra.nas import make_searcher, search

searcher = make_searcher(within_budget, "reinforce", seed=0)
result = search(within_budget, searcher, evaluations=40)
best = result.codes[result.best]
print(
    f"{len(result)} evaluated; best {within_budget.space.label(best)}: accuracy {result.best_so_far[-1]:.2f}, "
    f"{oracle.latency_ms(best):.3f} ms"
)
