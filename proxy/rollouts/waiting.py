"""What steps that wait have in common: time and traffic, and what becomes of it where there is none."""

from proxy.core.units import format_duration
from proxy.rollouts.step import Abort, Answer, Moment, Next, Pause, Stay


def timed(moment: Moment, time: float) -> Answer:
    """So many seconds, and enough requests for the time to mean something."""
    if moment.elapsed < time:
        left = format_duration(float(round(time - moment.elapsed) or 1))
        return Stay(f"{left} to go", moment.elapsed / time)
    return enough(moment)


def enough(moment: Moment) -> Answer:
    """Go on once the candidate has had enough requests; one that gets nothing has nothing to wait for."""
    if moment.share == 0 or moment.requests >= moment.min_requests:
        return Next()
    text = f"{moment.requests} of {moment.min_requests} requests that are needed to judge by"
    if moment.on_no_data == "pause":
        return Pause(f"too little traffic: {text}")
    if moment.on_no_data == "abort":
        return Abort(f"too little traffic: {text}")
    return Stay(text, moment.requests / moment.min_requests)
