"""Every network of the space that keeps the budget: only small spaces can be searched so."""

from my_problem import oracle, within_budget

from lutra.nas import make_searcher, search

searcher = make_searcher(within_budget, "grid", seed=0)
result = search(within_budget, searcher, evaluations=125)
best = result.codes[result.best]
print(
    f"{len(result)} evaluated; best {within_budget.space.label(best)}: accuracy {result.best_so_far[-1]:.2f}, "
    f"{oracle.latency_ms(best):.3f} ms"
)
