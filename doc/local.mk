# doc/: what is read, and the plug-in template, which is installed.

dist_man_MANS =
dist_doc_DATA = NEWS LICENSE
