# Run while the image is built: puts the model that SIGHTLINE_MODEL names, exported, into /opt/sightline/model.
set -eu
mkdir /opt/sightline/model
[ "${SIGHTLINE_MODEL:-pocket}" != pocket ] || exit 0
cd /opt/sightline/app
export PATH="/opt/sightline/venv/bin:$PATH" SIGHTLINE_DATA_DIR=/tmp/data HF_HUB_CACHE=/tmp/hub
python app.py model fetch --yes "$SIGHTLINE_MODEL"
python app.py release build --model-only "$SIGHTLINE_MODEL" /tmp/release
cp -R /tmp/release/model/. /opt/sightline/model
[ ! -d /tmp/release/licences ] || cp /tmp/release/licences/* /opt/sightline/model
