"""NSGA-II: not one network within a budget, but the whole front of accuracy and latency."""

from my_problem import trade_off

from lutra.nas import make_searcher, search

result = search(trade_off, make_searcher(trade_off, "nsga2", seed=0), evaluations=80)
print(f"{len(result)} evaluated; the front:")
for index in result.front:
    accuracy, latency_ms = result.values[index]
    print(f"{trade_off.space.label(result.codes[index])}  accuracy {accuracy:.2f}  {latency_ms:.3f} ms")
