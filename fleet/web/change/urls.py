"""Addresses of a change: its list, its draft, its review, its run; as a copy or a file; and of the undo ledger."""

from django.urls import path

from fleet.web.change import draft_views, file, listing, review_views, run_views, undo

urlpatterns = [
    path("changes", listing.changes, name="changes"),
    path("changes/upload", file.upload, name="change-upload"),
    path("changes/new", draft_views.new, name="draft-new"),
    path("changes/<int:pk>", listing.change, name="change"),
    path("changes/<int:pk>/checking", listing.checking_live, name="checking-live"),
    path("changes/<int:pk>/edit", draft_views.draft, name="draft"),
    path("changes/<int:pk>/edit/follows", draft_views.consequences, name="draft-follows"),
    path("changes/<int:pk>/edit/validate/<slug:field>/", draft_views.validate, name="draft-validate"),
    path("changes/<int:pk>/edit/images", draft_views.images, name="draft-images"),
    path("changes/<int:pk>/edit/machines", draft_views.machines, name="draft-machines"),
    path("changes/<int:pk>/edit/leave-out", draft_views.leave_out, name="draft-leave-out"),
    path("changes/<int:pk>/edit/submit", draft_views.submit, name="draft-submit"),
    path("changes/<int:pk>/edit/discard", draft_views.discard, name="draft-discard"),
    path("changes/<int:pk>/reviewed", review_views.reviewed, name="change-review"),
    path("changes/<int:pk>/groups/<slug:key>", review_views.group, name="change-group"),
    path("changes/<int:pk>/groups/<slug:key>/seen", review_views.seen, name="change-seen"),
    path("changes/<int:pk>/remove", review_views.remove, name="change-remove"),
    path("changes/<int:pk>/schedule", review_views.schedule, name="change-schedule"),
    path("changes/<int:pk>/unschedule", review_views.unschedule, name="change-unschedule"),
    path("changes/<int:pk>/approve", review_views.approve, name="change-approve"),
    path("changes/<int:pk>/return", review_views.return_to_draft, name="change-return"),
    path("changes/<int:pk>/reject", review_views.reject, name="change-reject"),
    path("changes/<int:pk>/comment", review_views.comment, name="change-comment"),
    path("changes/<int:pk>/withdraw", review_views.withdraw, name="change-withdraw"),
    path("changes/<int:pk>/copy", file.copy, name="change-copy"),
    path("changes/<int:pk>/file", file.download, name="change-file"),
    path("changes/<int:pk>/start", run_views.start, name="change-start"),
    path("changes/<int:pk>/live", run_views.live, name="run-live"),
    path("changes/<int:pk>/acts/<slug:name>", run_views.act, name="run-act"),
    path("changes/<int:pk>/redraft/<slug:key>", run_views.redraft, name="run-redraft"),
    path("undo", undo.undo, name="undo"),
]
