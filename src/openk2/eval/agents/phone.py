"""ACEBench's phone: messages, reminders, food orders, and the Wi-Fi and login that they need.

What each call does, refuses and leaves behind is the published environment's, written anew; menus
and names are its facts (MIT, https://github.com/chenchen0103/ACEBench). Messages, reminders and
accounts at the start come with the data: see `seed.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

CAPACITY = 6  # messages, and reminders
FIRST_MESSAGES = 6  # the numbers of those at the start
FIRST_REMINDERS = 3
PEOPLE = {
    name: f"USR{100 + n}"
    for n, name in enumerate(("Eve", "Frank", "Grace", "Helen", "Isaac", "Jack"))
}
MENUS = {
    "Domino's": {"Margherita Pizza": 68.0, "Super Supreme Pizza": 88.0},
    "Rice Village Bibimbap": {"Stone Pot Bibimbap": 35.0, "Korean Beef Bibimbap": 45.0},
    "Haidilao": {"Beef Rolls": 68.0, "Seafood Platter": 88.0},
    "Heytea": {"Cheese Milk Tea": 25.0, "Four Seasons Spring Milk Tea": 22.0},
    "Hema Fresh": {"Organic Vegetable Pack": 15.0, "Fresh Gift Pack": 99.0},
    "Jiutian BBQ": {"Korean Grilled Beef": 128.0, "Grilled Pork Belly": 78.0},
}
Answer = dict[str, Any]


def refused(message: str) -> Answer:
    """The result of a call that did nothing."""
    return {"status": False, "message": message}


def done(message: str, **more: Any) -> Answer:
    """The result of a call that did what it says."""
    return {"status": True, "message": message, **more}


class Phone:
    """One phone. `functions` are what a model may call; they raise for arguments of a wrong type,
    with the state unchanged. `state` is compared with the reference."""

    def __init__(
        self, seed: Mapping[str, Mapping[str, Any]], config: Mapping[str, Any], parts: Sequence[str]
    ) -> None:
        base = config.get("BaseApi", {})
        self.wifi = bool(base.get("wifi", False))
        self.logged_in = bool(base.get("logged_in", True))
        self.parts = parts
        self.inbox: dict[int, Answer] = {
            int(key): dict(message) for key, message in seed.get("inbox", {}).items()
        }
        self.reminders: dict[int, Answer] = {
            int(key): dict(reminder) for key, reminder in seed.get("reminder_list", {}).items()
        }
        self.accounts: dict[str, Answer] = deepcopy(dict(seed.get("accounts", {})))
        self.signed_in: list[str] = []
        self.orders: list[Answer] = []
        self.last_message = FIRST_MESSAGES
        self.last_reminder = FIRST_REMINDERS

    @property
    def functions(self) -> Mapping[str, Callable[..., Any]]:
        """By the names in the data."""
        return {
            "turn_on_wifi": self.turn_on_wifi,
            "login_device": self.login_device,
            "send_message": self.send_message,
            "delete_message": self.delete_message,
            "view_messages_between_users": self.view_messages_between_users,
            "search_messages": self.search_messages,
            "get_latest_message_id": lambda: self.message_by_time("latest"),
            "get_earliest_message_id": lambda: self.message_by_time("earliest"),
            "add_reminder": self.add_reminder,
            "view_reminder_by_title": self.view_reminder_by_title,
            "search_reminders": self.search_reminders,
            "login_food_platform": self.login_food_platform,
            "check_balance": self.check_balance,
            "get_products": self.get_products,
            "add_food_delivery_order": self.add_food_delivery_order,
        }

    def state(self) -> list[dict[str, Any]]:
        """[{part: its attributes}], keys as JSON writes them."""
        attributes: dict[str, dict[str, Any]] = {
            "BaseApi": {"wifi": self.wifi, "logged_in": self.logged_in},
            "MessageApi": {"inbox": {str(key): value for key, value in self.inbox.items()}},
            "ReminderApi": {
                "reminder_list": {str(key): value for key, value in self.reminders.items()}
            },
            "FoodPlatform": {
                "users": self.accounts,
                "logged_in_users": self.signed_in,
                "orders": self.orders,
            },
        }
        return [{part: deepcopy(attributes[part])} for part in self.parts]

    def turn_on_wifi(self) -> Answer:
        """Always works."""
        self.wifi = True
        return done("Wi-Fi is on")

    def login_device(self) -> Answer:
        """Always works."""
        self.logged_in = True
        return done("The device is logged in")

    def send_message(self, sender_name: str, receiver_name: str, message: str) -> Answer:
        """Needs login, Wi-Fi, room in the inbox, and two people that exist."""
        if not self.logged_in:
            return refused("The device is not logged in: no message can be sent")
        if not self.wifi:
            return refused("Wi-Fi is off: no message can be sent")
        if len(self.inbox) >= CAPACITY:
            return refused("The inbox is full. Ask the user which message to delete.")
        if sender_name not in PEOPLE or receiver_name not in PEOPLE:
            return refused("Sender or receiver does not exist")
        self.last_message += 1
        self.inbox[self.last_message] = {
            "sender_id": PEOPLE[sender_name],
            "receiver_id": PEOPLE[receiver_name],
            "message": message,
        }
        return done(f"The message was sent to {receiver_name}")

    def delete_message(self, message_id: int) -> Answer:
        """Needs login."""
        if not self.logged_in:
            return refused("The device is not logged in: no message can be deleted")
        if message_id not in self.inbox:
            return refused("There is no message with this ID")
        del self.inbox[message_id]
        return done(f"Message {message_id} was deleted")

    def view_messages_between_users(self, sender_name: str, receiver_name: str) -> Answer:
        """Messages from one to the other. Needs login."""
        if not self.logged_in:
            return refused("The device is not logged in: no message can be viewed")
        for role, name in (("Sender", sender_name), ("Receiver", receiver_name)):
            if name not in PEOPLE:
                return refused(f"{role} does not exist")
        pair = PEOPLE[sender_name], PEOPLE[receiver_name]
        found = [
            {
                "id": key,
                "sender": sender_name,
                "receiver": receiver_name,
                "message": message["message"],
            }
            for key, message in self.inbox.items()
            if (message["sender_id"], message["receiver_id"]) == pair
        ]
        return {"status": True, "messages": found} if found else refused("No such message")

    def search_messages(self, user_name: str, keyword: str) -> Answer:
        """Messages from or to a person that contain the keyword; needs no login."""
        if user_name not in PEOPLE:
            return refused("User does not exist")
        own = PEOPLE[user_name]
        found = [
            {"id": key, **{name: message[name] for name in ("sender_id", "receiver_id", "message")}}
            for key, message in self.inbox.items()
            if own in (message["sender_id"], message["receiver_id"])
            and keyword.lower() in message["message"].lower()
        ]
        return {"status": True, "messages": found} if found else refused("No such message")

    def message_by_time(self, which: str) -> Answer:
        """The latest or the earliest. Needs login. A message just sent has no time yet."""
        if not self.logged_in:
            return refused("The device is not logged in: no message can be looked up")
        times = {key: message["time"] for key, message in self.inbox.items() if "time" in message}
        if not times:
            return refused("There is no message")
        key = (max if which == "latest" else min)(times, key=lambda key: times[key])
        return done(f"The {which} message has ID {key}", message_id=key)

    def add_reminder(self, title: str, description: str, time: str) -> Answer:
        """Needs login and room."""
        if not self.logged_in:
            return refused("The device is not logged in: no reminder can be added")
        if len(self.reminders) >= CAPACITY:
            return refused("There is no room for another reminder")
        self.last_reminder += 1
        self.reminders[self.last_reminder] = {
            "reminder_id": self.last_reminder,
            "title": title,
            "description": description,
            "time": time,
            "notified": False,
        }
        return done(f"Reminder {title!r} was added")

    def view_reminder_by_title(self, title: str) -> Answer:
        """Needs login and the exact title."""
        if not self.logged_in:
            return refused("The device is not logged in: no reminder can be viewed")
        for reminder in self.reminders.values():
            if reminder["title"] == title:
                return {"status": True, "reminder": reminder}
        return refused(f"There is no reminder with the title {title!r}")

    def search_reminders(self, keyword: str) -> Answer:
        """Declared in the data, missing in the published environment; changes nothing."""
        found = [
            reminder
            for reminder in self.reminders.values()
            if keyword.lower() in f"{reminder['title']} {reminder['description']}".lower()
        ]
        return {"status": True, "reminders": found} if found else refused("No such reminder")

    def login_food_platform(self, username: str, password: str) -> Answer:
        """Needs Wi-Fi and the password; refuses a second login."""
        if not self.wifi:
            return refused("Wi-Fi is off: no login is possible")
        if username not in self.accounts:
            return refused("User does not exist")
        if self.accounts[username]["password"] != password:
            return refused("Wrong password")
        if username in self.signed_in:
            return refused(f"{username} is logged in already")
        self.signed_in.append(username)
        return done(f"{username} is logged in")

    def check_balance(self, user_name: str) -> float:
        """In yuan; 0 for a user that does not exist."""
        account = self.accounts.get(user_name, {})
        return float(account.get("balance", 0.0))

    def get_products(self, merchant_name: str) -> Any:
        """A merchant's menu, in yuan."""
        if merchant_name not in MENUS:
            return refused(f"Merchant {merchant_name!r} does not exist")
        menu = MENUS[merchant_name]
        return [{"product": product, "price": price} for product, price in menu.items()]

    def add_food_delivery_order(
        self, username: str, merchant_name: str, items: Sequence[Mapping[str, Any]]
    ) -> Answer:
        """Needs login to the platform, products of this merchant, and the balance."""
        if username not in self.signed_in:
            return refused(f"{username} is not logged in to the food platform")
        if merchant_name not in MENUS:
            return refused("Merchant does not exist")
        menu, lines = MENUS[merchant_name], []
        for item in items:
            product, quantity = item.get("product"), item.get("quantity", 1)
            if not isinstance(quantity, int) or quantity <= 0:
                return refused(f"Quantity {quantity} of {product} is not valid")
            if product not in menu:
                return refused(f"{product} is not on the menu of {merchant_name}")
            price = menu[product]
            lines.append({"product": product, "quantity": quantity, "price_per_unit": price})
        total = sum((line["price_per_unit"] * line["quantity"] for line in lines), 0.0)
        if total > self.accounts[username]["balance"]:
            return refused("The balance does not suffice for this order")
        self.accounts[username]["balance"] -= total
        order = {"user_name": username, "merchant_name": merchant_name}
        self.orders.append({**order, "items": lines, "total_price": total})
        return done(f"Ordered from {merchant_name} for {total} yuan")
