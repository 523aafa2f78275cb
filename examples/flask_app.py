"""An API with Flask whose customers need a key. Each request for an invoice costs one credit.

It needs `pip install 'oneloop[flask]' gunicorn`, and ONELOOP_SDK_KEY in the environment:

    gunicorn --chdir examples flask_app:app
"""

from flask import Flask

from oneloop.flask import Guard, verification

guard = Guard()
app = Flask(__name__)


@app.get("/me")
@guard
def me() -> dict[str, str | None]:
    """Return the customer that the key belongs to."""
    return {"customer": verification().customer_id}


@app.get("/invoices/<int:number>")
@guard.requiring(scopes={"invoices": "read"}, usage=1)
def invoice(number: int) -> dict[str, int]:
    """Return an invoice."""
    return {"number": number}
