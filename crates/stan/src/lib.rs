//! An asynchronous client for NATS Streaming (STAN).
