"""The store: durable records of the wanted state and of work in progress. Only this package knows the rows."""
