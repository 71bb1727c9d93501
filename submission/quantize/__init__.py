"""From trained weights to integers and back: rounding rules, GPTQ, pruning and the choice between them."""
