"""Addresses of a change: its list, its draft, its review and its run."""

from django.urls import path

from fleet.web import changes, drafts, review, runs

urlpatterns = [
    path("changes", changes.changes, name="changes"),
    path("changes/new", drafts.new, name="draft-new"),
    path("changes/<int:pk>", changes.change, name="change"),
    path("changes/<int:pk>/checking", changes.checking_live, name="checking-live"),
    path("changes/<int:pk>/edit", drafts.draft, name="draft"),
    path("changes/<int:pk>/edit/follows", drafts.follows, name="draft-follows"),
    path("changes/<int:pk>/edit/validate/<slug:field>/", drafts.validate, name="draft-validate"),
    path("changes/<int:pk>/edit/images", drafts.images, name="draft-images"),
    path("changes/<int:pk>/edit/machines", drafts.machines, name="draft-machines"),
    path("changes/<int:pk>/edit/leave-out", drafts.leave_out, name="draft-leave-out"),
    path("changes/<int:pk>/edit/submit", drafts.submit, name="draft-submit"),
    path("changes/<int:pk>/edit/discard", drafts.discard, name="draft-discard"),
    path("changes/<int:pk>/reviewed", review.reviewed, name="change-review"),
    path("changes/<int:pk>/groups/<slug:key>", review.group, name="change-group"),
    path("changes/<int:pk>/approve", review.approve, name="change-approve"),
    path("changes/<int:pk>/return", review.return_to_draft, name="change-return"),
    path("changes/<int:pk>/reject", review.reject, name="change-reject"),
    path("changes/<int:pk>/comment", review.comment, name="change-comment"),
    path("changes/<int:pk>/withdraw", review.withdraw, name="change-withdraw"),
    path("changes/<int:pk>/start", runs.start, name="change-start"),
    path("changes/<int:pk>/pause", runs.pause, name="change-pause"),
    path("changes/<int:pk>/resume", runs.resume, name="change-resume"),
    path("changes/<int:pk>/cancel", runs.cancel, name="change-cancel"),
    path("changes/<int:pk>/live", runs.live, name="run-live"),
    path("changes/<int:pk>/machines/<int:row>/look-again", runs.look_again, name="change-look-again"),
    path("changes/<int:pk>/machines/<int:row>/give-up", runs.give_up, name="change-give-up"),
]
