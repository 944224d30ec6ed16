"""Texts that the scripts show; ``{name}`` in one stands for a value that the script knows."""

from django.utils.translation import gettext_lazy as _

SCRIPT_TEXTS = {
    "filesLost": _("What you typed was kept. Choose the photo again: a page cannot keep files."),
    "gone": _("This no longer exists."),
    "noClip": _("The clip cannot be played now. Try again in a moment."),
    "nothingLost": _("{reason} Nothing is lost: try again in a moment."),
    "nothingLostOffline": _("{reason} Nothing is lost: try again when you are back."),
    "offline": _("You are offline."),
    "outdated": _(
        "This page is out of date, perhaps because you logged in again in another tab. What you typed is kept."
    ),
    "pollsOn": _("{reason} The photo is safe: this page asks again by itself."),
    "reload": _("Reload the page"),
    "serverError": _("The server had a problem ({status})."),
    "strange": _("The answer did not come from this page; perhaps you were logged out."),
    "timeout": _("The server takes too long to answer."),
    "tooLarge": _("{name} is {size} MB; the largest photo accepted is {most} MB."),
    "unreachable": _("The server could not be reached."),
}
