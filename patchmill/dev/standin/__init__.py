"""The stand-in gateway: a real HTTP server that speaks the gateway's protocol and answers without a model."""
