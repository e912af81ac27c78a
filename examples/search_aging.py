"""Regularised evolution: mutants of good networks replace the oldest ones."""

from my_problem import oracle, within_budget

from lutra.nas import make_searcher, search

searcher = make_searcher(within_budget, "aging", seed=0, population=10, sample=3)
result = search(within_budget, searcher, evaluations=40)
best = result.codes[result.best]
print(
    f"{len(result)} evaluated; best {within_budget.space.label(best)}: accuracy {result.best_so_far[-1]:.2f}, "
    f"{oracle.latency_ms(best):.3f} ms"
)
