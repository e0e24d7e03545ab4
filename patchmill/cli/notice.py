"""What everybody must be told who meets the stand-in gateway."""

NOT_A_MODEL = (
    "The stand-in gateway is NOT a language model: it speaks the gateway's protocol, and answers by fixed\n"
    "rules (ruff's own fixes, hints inferred from literals). What it bills is made up; nothing is charged."
)
