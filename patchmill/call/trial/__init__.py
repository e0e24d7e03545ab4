"""The first contact with a gateway: what its models really take, found out for a fraction of a cent."""
