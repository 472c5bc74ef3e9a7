"""Addresses of a change: its list, its draft and its review."""

from django.urls import path

from fleet.web import changes, drafts, review

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
    path("changes/<int:pk>/groups/<slug:key>/seen", review.seen, name="change-seen"),
    path("changes/<int:pk>/remove", review.remove, name="change-remove"),
    path("changes/<int:pk>/schedule", review.schedule, name="change-schedule"),
    path("changes/<int:pk>/unschedule", review.unschedule, name="change-unschedule"),
    path("changes/<int:pk>/approve", review.approve, name="change-approve"),
    path("changes/<int:pk>/return", review.return_to_draft, name="change-return"),
    path("changes/<int:pk>/reject", review.reject, name="change-reject"),
    path("changes/<int:pk>/comment", review.comment, name="change-comment"),
    path("changes/<int:pk>/withdraw", review.withdraw, name="change-withdraw"),
]
