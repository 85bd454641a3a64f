"""E-mail, by SMTP."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from mlops_assets.lifecycle.alerts.alert import Alert, one_line
from mlops_assets.lifecycle.alerts.channel import TIMEOUT_SECONDS, Channel, NotDelivered, within
from mlops_assets.lifecycle.alerts.posting import cause
from mlops_assets.lifecycle.declaration import expand_env

Address = Annotated[str, StringConstraints(pattern=r"^[^\s@,;:<>\"\\]+@[^\s@,;:<>\"\\]+$")]
PORTS = {"starttls": 587, "ssl": 465, "none": 25}
SUBJECT = 150


class EmailChannel(Channel):
    """A plain text message, over a connection whose certificate is checked."""

    type: Literal["email"]
    host: str
    port: int | None = Field(None, ge=1, le=65535, description="587, 465 or 25 by `security`.")
    security: Literal["starttls", "ssl", "none"] = "starttls"
    sender: Address
    to: list[Address] = Field(min_length=1)
    user: str | None = None
    password: str | None = Field(None, description="As {{ env.NAME }}.")
    ca_file: str | None = Field(None, description="Certificates to trust beside the system's.")

    @field_validator("password")
    @classmethod
    def _is_a_secret(cls, password: str | None) -> str | None:
        if password is not None and "{{" not in password:
            raise ValueError("write {{ env.NAME }}, not the password")
        return password

    @model_validator(mode="after")
    def _login_is_safe(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.user is not None and self.security == "none":
            raise ValueError("security: none would send the password in the clear")
        return self

    def send(self, alert: Alert) -> str:
        password = None if self.password is None else expand_env(self.password)
        user = None if self.user is None else expand_env(self.user)
        message = self._message(alert)
        return within(TIMEOUT_SECONDS, lambda: self._deliver(message, user, password))

    def _message(self, alert: Alert) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = one_line(f"[{alert.model}] {alert.kind}: {alert.message}", SUBJECT)
        message["From"] = self.sender
        message["To"] = ", ".join(self.to)
        if alert.at is not None:
            message["Date"] = format_datetime(alert.at)
        if alert.id:
            # The same when it comes twice, so that mail programs show it once.
            message["Message-ID"] = f"<{alert.id}@mlops-assets>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(f"{alert.message}\n\n{alert.link}\n")
        return message

    def _deliver(self, message: EmailMessage, user: str | None, password: str | None) -> str:
        try:
            with self._connected() as server:
                if user is not None and password is not None:
                    server.login(user, password)
                refused = server.send_message(message)
        except smtplib.SMTPResponseException as error:
            raise NotDelivered(
                f"the mail server answered {error.smtp_code} ({type(error).__name__})",
                of_this_alert=isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500,
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            codes = ", ".join(str(code) for code, _ in error.recipients.values())
            raise NotDelivered(f"every recipient was refused ({codes})") from None
        except (OSError, ValueError) as error:  # SMTPException is an OSError
            raise NotDelivered(f"the mail server was not reached: {cause(error)}") from None
        return f"{len(refused)} of {len(self.to)} recipients were refused" if refused else ""

    def _connected(self) -> smtplib.SMTP:
        port = self.port or PORTS[self.security]
        host = expand_env(self.host)
        if self.security == "ssl":
            trusted = self._trusted()
            return smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_SECONDS, context=trusted)
        server = smtplib.SMTP(host, port, timeout=TIMEOUT_SECONDS)
        if self.security == "starttls":
            try:
                server.starttls(context=self._trusted())
            except smtplib.SMTPNotSupportedError:
                server.close()
                raise NotDelivered("the mail server offers no TLS: nothing was sent") from None
            except BaseException:
                server.close()
                raise
        return server

    def _trusted(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.ca_file is not None:
            context.load_verify_locations(self.ca_file)
        return context
