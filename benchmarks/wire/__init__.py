"""The wire cases of the stand-in gateway, played to our client and to a peer."""
