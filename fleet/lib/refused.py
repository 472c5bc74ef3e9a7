"""The one way in which a use case says no."""


class Refused(Exception):
    """An act that is not carried out, with the sentence that says why and what to do.

    `kind` is `forbidden` (not this person), `moved` (somebody or something was faster) or `wrong` (the input). `field`
    names the field of the form that it belongs to, where there is one.
    """

    def __init__(self, sentence: str, *, kind: str = "wrong", field: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.kind = kind
        self.field = field
