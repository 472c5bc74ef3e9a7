"""People's acts on a change, in the order of its life: drafting, checking, review, running; and the judgement of machines."""
