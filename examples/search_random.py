"""Random networks within the budget: the baseline that every other strategy must beat."""

from my_problem import oracle, within_budget

from lutra.nas import make_searcher, search

searcher = make_searcher(within_budget, "random", seed=0)
result = search(within_budget, searcher, evaluations=40)
best = result.codes[result.best]
print(
    f"{len(result)} evaluated; best {within_budget.space.label(best)}: accuracy {result.best_so_far[-1]:.2f}, "
    f"{oracle.latency_ms(best):.3f} ms"
)
