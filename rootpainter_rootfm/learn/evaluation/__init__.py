"""How good a model is: measures, pictures, and the protocol on systems that it has never seen."""
