"""CPUs that are not there: devices as data, and an analytic model that ranks networks on them."""
