"""What the clients of AWS services share: error codes and the making of clients."""
