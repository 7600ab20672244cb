//! The admission policies inside the API server.
