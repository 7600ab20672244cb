//! Typed templates of the files that make a stock K3s use the webhooks.
