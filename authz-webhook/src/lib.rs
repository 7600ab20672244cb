//! SubjectAccessReview v1: stake tier to allow, deny or no opinion.
