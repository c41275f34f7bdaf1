"""One job, for batches and the server: inputs and state, running it, reporting progress."""
