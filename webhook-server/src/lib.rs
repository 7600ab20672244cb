//! The one HTTPS server scaffold of the project.
