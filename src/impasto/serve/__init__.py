"""The HTTP API, its queue of jobs, and the page: what `impasto serve` starts."""
