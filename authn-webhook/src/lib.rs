//! TokenReview v1: seal token to Kubernetes user.
