"""GPUs that are not there: devices as data, and an analytic model of what kernels take on them."""
