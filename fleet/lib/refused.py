"""How a use case refuses an act."""


class Refused(Exception):
    """An act is not carried out; `sentence` says why, and what to do.

    `kind` is `forbidden` (this person may not do it), `moved` (somebody or something was faster) or `wrong` (the input is).
    `field` is the field of the form that the sentence belongs to, where there is one.
    """

    def __init__(self, sentence: str, *, kind: str = "wrong", field: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.kind = kind
        self.field = field
