from django.contrib.admin import AdminSite


class SiteAdmin(AdminSite):
    site_header = "Photo site"
