//! The embedded ledger: a sui.rpc.v2 gRPC server for development and tests.
