"""ACEBench's travel agency: flights, reservations and the customers' balances.

What each call does, refuses and leaves behind is the published environment's, written anew; flights
are its facts (MIT, https://github.com/chenchen0103/ACEBench). Customers and reservations at the
start come with the data: see `seed.py`.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

TIME = "%Y-%m-%d %H:%M:%S"
NOW = datetime(2024, 7, 14, 6)
BAG = 50  # yuan
FREE_BAGS = {"regular": (1, 2), "silver": (2, 3), "gold": (3, 3)}  # economy, business
ECONOMY, BUSINESS = "Economy Class", "Business Class"
# number, from, to, day of July 2024, departure, arrival, seats, economy and business in yuan
FLIGHTS = (
    ("CA1234", "Beijing", "Shanghai", 15, "08:00", "10:30", 5, 1200, 3000),
    ("MU5678", "Shanghai", "Beijing", 16, "09:00", "11:30", 3, 1900, 3000),
    ("CZ4321", "Shanghai", "Beijing", 16, "20:00", "22:00", 8, 2500, 4000),
    ("CZ4352", "Shanghai", "Beijing", 17, "20:00", "22:00", 8, 1600, 2500),
    ("MU3561", "Beijing", "Nanjing", 18, "08:00", "10:00", 8, 1500, 4000),
    ("MU1566", "Beijing", "Nanjing", 18, "20:00", "22:00", 8, 1500, 4000),
    ("CZ1765", "Nanjing", "Shenzhen", 17, "20:30", "22:00", 8, 1500, 2500),
    ("CZ1765", "Nanjing", "Shenzhen", 18, "12:30", "15:00", 8, 1500, 2500),
    ("MH1765", "Xiamen", "Chengdu", 17, "12:30", "15:00", 8, 1500, 2500),
    ("MH2616", "Chengdu", "Xiamen", 18, "18:30", "21:00", 8, 1500, 2500),
    ("MH2616", "Chengdu", "Fuzhou", 16, "18:30", "21:00", 8, 1500, 2500),
)


def flight_of(row: tuple[Any, ...]) -> dict[str, Any]:
    """A row of FLIGHTS as calls return it."""
    number, origin, destination, day, departs, arrives, seats, economy, business = row
    return {
        "flight_no": number,
        "origin": origin,
        "destination": destination,
        "depart_time": f"2024-07-{day} {departs}:00",
        "arrival_time": f"2024-07-{day} {arrives}:00",
        "status": "available",
        "seats_available": seats,
        "economy_price": economy,
        "business_price": business,
    }


def price(flight: Mapping[str, Any], cabin: str) -> int:
    """In yuan; every cabin but economy is business."""
    return int(flight["economy_price" if cabin == ECONOMY else "business_price"])


class TravelAgency:
    """One agency. `functions` are what a model may call; they raise for arguments of a wrong type,
    with the state unchanged. `state` is compared with the reference."""

    def __init__(self, seed: Mapping[str, Mapping[str, Any]]) -> None:
        self.flights = [flight_of(row) for row in FLIGHTS]
        self.users: dict[str, dict[str, Any]] = deepcopy(dict(seed.get("customers", {})))
        self.reservations: list[dict[str, Any]] = deepcopy(
            list(seed.get("reservations", {}).values())
        )

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """By the names in the data."""
        return {
            "get_user_details": self.get_user_details,
            "get_flight_details": self.get_flight_details,
            "get_reservation_details": self.get_reservation_details,
            "find_transfer_flights": self.find_transfer_flights,
            "reserve_flight": self.reserve_flight,
            "modify_flight": self.modify_flight,
            "cancel_reservation": self.cancel_reservation,
        }

    def state(self) -> list[dict[str, Any]]:
        """[{part: its attributes}], keys as JSON writes them."""
        attributes = {"users": self.users, "reservations": self.reservations}
        return [{"Travel": deepcopy(attributes)}]

    def flight(self, number: str) -> dict[str, Any] | None:
        """The first with this number."""
        return next((flight for flight in self.flights if flight["flight_no"] == number), None)

    def get_user_details(self, user_id: str, password: str) -> Any:
        """All but the password."""
        user = self.users.get(user_id)
        if user is None or user["password"] != password:
            return {"status": "error", "message": "Wrong user ID or password"}
        return {key: value for key, value in user.items() if key != "password"}

    def get_flight_details(self, origin: str | None = None, destination: str | None = None) -> Any:
        """Flights between two cities; either may be left open."""
        found = [
            flight
            for flight in self.flights
            if (not origin or flight["origin"] == origin)
            and (not destination or flight["destination"] == destination)
        ]
        return found or "There is no direct flight of this kind"

    def get_reservation_details(
        self, reservation_id: str | None = None, user_id: str | None = None
    ) -> Any:
        """By reservation or by user, each with its flight."""
        if not reservation_id and not user_id:
            return {"status": "error", "message": "Give a reservation ID or a user ID"}
        key, wanted = ("reservation_id", reservation_id) if reservation_id else ("user_id", user_id)
        return [
            {**reservation, "flight_info": self.flight(reservation["flight_no"])}
            for reservation in self.reservations
            if reservation[key] == wanted
        ]

    def find_transfer_flights(
        self, origin_city: str, transfer_city: str, destination_city: str
    ) -> Any:
        """Pairs of flights of which the first arrives before the second leaves."""
        pairs = [
            {"first_leg": first, "second_leg": second}
            for first in self.flights
            for second in self.flights
            if (first["origin"], first["destination"]) == (origin_city, transfer_city)
            and (second["origin"], second["destination"]) == (transfer_city, destination_city)
            and first["arrival_time"] < second["depart_time"]
        ]
        return pairs or "There are no connecting flights of this kind"

    def reserve_flight(
        self,
        user_id: str,
        password: str,
        flight_no: str,
        cabin: str,
        payment_method: str,
        baggage_count: int,
    ) -> str:
        """Needs the password, a flight, and the balance for ticket and bags."""
        user, flight = self.users.get(user_id), self.flight(flight_no)
        if user is None or user["password"] != password:
            return "Wrong user ID or password"
        if flight is None:
            return f"There is no flight {flight_no}"
        if cabin not in (ECONOMY, BUSINESS):
            return f"The cabin is {ECONOMY} or {BUSINESS}"
        if payment_method not in ("cash", "bank"):
            return "The payment method is cash or bank"
        cost = price(flight, cabin) + self.bag_fee(user, cabin, baggage_count)
        if not self.pay(user, payment_method, cost):
            return f"The {payment_method} balance does not suffice. Try another payment method."
        flight["seats_available"] -= 1
        reservation = {
            "reservation_id": f"res_{len(self.reservations) + 1}",
            "user_id": user_id,
            "flight_no": flight_no,
            "payment_method": payment_method,
            "cabin": cabin,
            "baggage": baggage_count,
        }
        self.reservations.append(reservation)
        return f"Booked. Reservation {reservation['reservation_id']}, {cost} yuan with baggage."

    def modify_flight(
        self,
        user_id: str,
        reservation_id: str,
        new_flight_no: str | None = None,
        new_cabin: str | None = None,
        add_baggage: int = 0,
        new_payment_method: str | None = None,
    ) -> str:
        """Another flight of the same route, another cabin, more bags; the last two cost."""
        reservation = self.reservation(user_id, reservation_id)
        if reservation is None:
            return "There is no such reservation of this user"
        current = self.flight(reservation["flight_no"])
        if current is None:
            return "The reservation's flight does not exist"
        add_baggage = add_baggage or 0
        if not isinstance(add_baggage, int) or not isinstance(new_cabin, str | None):
            raise TypeError("add_baggage must be an integer, new_cabin a text")
        method = new_payment_method or reservation["payment_method"]
        user, told = self.users[user_id], []
        if new_flight_no and new_flight_no != reservation["flight_no"]:
            new = self.flight(new_flight_no)
            route = ("origin", "destination")
            if new is None or any(new[end] != current[end] for end in route):
                return "The flight was not changed: it does not exist or has another route"
            reservation["flight_no"] = new_flight_no
            told.append("The flight was changed.")
        if new_cabin and new_cabin != reservation["cabin"]:
            told.append(self.change_cabin(user, reservation, current, new_cabin, method))
        if add_baggage > 0:
            told.append(self.add_bags(user, reservation, add_baggage, method))
        return " ".join(told) or "Nothing was changed"

    def change_cabin(
        self,
        user: dict[str, Any],
        reservation: dict[str, Any],
        flight: Mapping[str, Any],
        cabin: str,
        method: str,
    ) -> str:
        """The cabin changes even if the balance does not suffice, as in the published one."""
        prices = {ECONOMY: flight["economy_price"], BUSINESS: flight["business_price"]}
        difference = prices.get(cabin, 0) - prices.get(reservation["cabin"], 0)
        reservation["cabin"] = cabin
        if not self.pay(user, method, difference):
            return "The balance does not suffice for the cabin"
        return f"The cabin was changed: {difference} yuan were paid."

    def add_bags(
        self, user: dict[str, Any], reservation: dict[str, Any], bags: int, method: str
    ) -> str:
        """Every bag above the allowance is paid, those paid before included, as in the published
        one."""
        total = reservation.get("baggage", 0) + bags
        fee = self.bag_fee(user, reservation["cabin"], total)
        paid = self.pay(user, method, fee)
        reservation["baggage"] = total
        if not paid:
            return "The balance does not suffice for the baggage"
        return f"Baggage was added for {fee} yuan."

    def cancel_reservation(self, user_id: str, reservation_id: str, reason: str) -> str:
        """Refunds to cash, all or less 10 %; the reservation stays listed, as in the published
        one."""
        reservation = self.reservation(user_id, reservation_id)
        if user_id not in self.users or reservation is None:
            return "There is no such reservation of this user"
        flight = self.flight(reservation["flight_no"])
        if flight is None:
            return "The reservation's flight does not exist"
        departure = datetime.strptime(flight["depart_time"], TIME)
        if departure < NOW:
            return "The flight has left and cannot be canceled"
        amount: float = price(flight, reservation["cabin"])
        free = reason == "The airline has canceled the flight."
        if not free and departure - NOW <= timedelta(days=1):
            amount -= amount * 0.1
        self.users[user_id]["cash_balance"] += amount
        return f"Canceled. {amount} yuan were refunded."

    def reservation(self, user_id: str, reservation_id: str) -> dict[str, Any] | None:
        """A user's own."""
        for reservation in self.reservations:
            if (reservation["reservation_id"], reservation["user_id"]) == (reservation_id, user_id):
                return reservation
        return None

    def bag_fee(self, user: Mapping[str, Any], cabin: str, bags: int) -> int:
        """In yuan, for what the membership does not include."""
        economy, business = FREE_BAGS[user["membership_level"]]
        return BAG * max(bags - (economy if cabin == ECONOMY else business), 0)

    def pay(self, user: dict[str, Any], method: str, amount: float) -> bool:
        """Take the amount, or give it if negative; False if the balance does not suffice. Another
        method than cash or bank costs nothing, as in the published one."""
        account = f"{method}_balance"
        if method not in ("cash", "bank"):
            return True
        if user[account] < amount:
            return False
        user[account] -= amount
        return True
