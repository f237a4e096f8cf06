"""The topics under their configured names, and how each is kept."""

from dataclasses import dataclass

from consumer.broker.port import TopicSpec
from consumer.model import topics
from consumer.model.events import Kind


_DAY_MS = 86_400_000
_EVENT_PARTITIONS = 8
_LOG_PARTITIONS = 4
_COMMAND_PARTITIONS = 8
_WEBHOOK_PARTITIONS = 8


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Every topic, with the configured prefix."""

    prefix: str = ""

    @property
    def user_events(self) -> str:
        """Procore users as they are."""
        return self.prefix + topics.USER_EVENTS

    @property
    def timesheet_events(self) -> str:
        """SmartBarrel timesheets as they are."""
        return self.prefix + topics.TIMESHEET_EVENTS

    def events_of(self, kind: Kind) -> str:
        """The topic of a flow's events."""
        return self.user_events if kind is Kind.USERS else self.timesheet_events

    @property
    def webhooks(self) -> str:
        """Procore's word that somebody has changed."""
        return self.prefix + topics.WEBHOOKS

    @property
    def sync_log(self) -> str:
        """Results, and the start of each run."""
        return self.prefix + topics.SYNC_LOG

    @property
    def sync_commands(self) -> str:
        """Wishes to sync a company."""
        return self.prefix + topics.SYNC_COMMANDS

    @property
    def company_settings(self) -> str:
        """What each company has chosen."""
        return self.prefix + topics.COMPANY_SETTINGS

    @property
    def links(self) -> str:
        """What corresponds across the systems."""
        return self.prefix + topics.LINKS

    @property
    def dead_letters(self) -> str:
        """Records that were set aside."""
        return self.prefix + topics.DEAD_LETTERS

    def specs(self) -> tuple[TopicSpec, ...]:
        """All topics as they should be."""
        return (
            # Each event gets a result, so none may vanish before it was read, as far as a day allows.
            TopicSpec(self.user_events, _EVENT_PARTITIONS, compacted=True, compaction_lag_ms=_DAY_MS),
            TopicSpec(self.timesheet_events, _EVENT_PARTITIONS, retention_ms=90 * _DAY_MS),
            TopicSpec(self.sync_commands, _COMMAND_PARTITIONS, retention_ms=7 * _DAY_MS),
            TopicSpec(self.webhooks, _WEBHOOK_PARTITIONS, retention_ms=7 * _DAY_MS),
            TopicSpec(self.sync_log, _LOG_PARTITIONS, retention_ms=400 * _DAY_MS),
            TopicSpec(self.links, _LOG_PARTITIONS, compacted=True),
            TopicSpec(self.company_settings, 1, compacted=True),
            TopicSpec(self.dead_letters, _EVENT_PARTITIONS, retention_ms=30 * _DAY_MS),
        )
