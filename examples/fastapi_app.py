"""An API with FastAPI whose customers need a key. Each request for an invoice costs one credit.

It needs `pip install 'oneloop[fastapi]' uvicorn`, and ONELOOP_SDK_KEY in the environment:

    uvicorn --app-dir examples fastapi_app:app
"""

from typing import Annotated

from fastapi import Depends, FastAPI

from oneloop.fastapi import Guard, Verification

guard = Guard()
reading = guard.requiring(scopes={"invoices": "read"}, usage=1)
app = FastAPI(lifespan=guard.lifespan)


@app.get("/me")
async def me(verified: Annotated[Verification, Depends(guard)]) -> dict[str, str | None]:
    """Return the customer that the key belongs to."""
    return {"customer": verified.customer_id}


@app.get("/invoices/{number}", dependencies=[Depends(reading)])
async def invoice(number: int) -> dict[str, int]:
    """Return an invoice."""
    return {"number": number}
