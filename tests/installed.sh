#!/bin/sh
# installed.sh PLUGIN-FOLDER - what `make install` put there serves a plug-in's author: the installed
# template builds with the installed headers and moecheck.pc alone, and the installed moecheck opens it
# and passes it. `make installcheck` sets PATH, PKG_CONFIG_PATH and CC.

set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cp "$1"/* "$folder"
chmod u+w "$folder"/*
make -C "$folder" CC="$CC" check
