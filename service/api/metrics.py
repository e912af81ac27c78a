"""What Prometheus is told: requests, predictions, jobs, memory."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counters of one server, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        labels = ("method", "path", "status")
        self._requests = Counter("lutra_http_requests", "Requests answered", labels, registry=self.registry)
        self._seconds = Histogram(
            "lutra_http_request_seconds",
            "Time to the end of the answer",
            ("path",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._predictions = Counter("lutra_predictions", "Latencies predicted", ("how",), registry=self.registry)
        self._jobs = Gauge("lutra_jobs", "Jobs by state", ("state",), registry=self.registry)
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            method: HTTP method.
            path: of the route, with its parameters' names; so there are few.
            status: of the answer; 0 where the client had gone.
            seconds: how long it took.
        """
        key = method if method in _METHODS else "other", path, status
        if (found := self._children.get(key)) is None:
            counter = self._requests.labels(key[0], path, str(status))
            found = self._children[key] = counter, self._seconds.labels(path)
        found[0].inc()
        found[1].observe(seconds)

    def predicted(self, how: str, count: int) -> None:
        """Count predictions: ``how`` is ``"single"`` or ``"batch"``."""
        self._predictions.labels(how).inc(count)

    def jobs(self, counts: dict[str, int]) -> None:
        """Say how many jobs there are in each state."""
        self._jobs.clear()
        for state, count in counts.items():
            self._jobs.labels(state).set(count)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
