"""Deletes a sample and closes an account with SQLAlchemy, in the application's own transaction."""

import os
import uuid

from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column


class Base(DeclarativeBase):
    pass


class ClosedAccount(Base):
    __tablename__ = "closed_accounts"
    user_id: Mapped[str] = mapped_column(primary_key=True)


# The account is closed and its erasure asked for, or neither.
def close_account(session: Session, user_id: str) -> None:
    with session.begin():
        session.add(ClosedAccount(user_id=user_id))
        session.execute(
            text("select lethe.delete_user(:user_id, :deleted_by)"),
            {"user_id": user_id, "deleted_by": f"user:{user_id}"},
        )


# None if there is no such sample. It can be restored for seven days.
def delete_sample(session: Session, sample_id: uuid.UUID, user_id: str) -> int | None:
    with session.begin():
        return session.scalar(
            text("select lethe.delete_sample(:sample_id, :deleted_by, '7 days')"),
            {"sample_id": sample_id, "deleted_by": f"user:{user_id}"},
        )


def story() -> None:
    """Commits both or neither, and says whether there was a sample."""
    session = Session(create_engine(os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://", 1)))
    # Sees what the application's account may not.
    owner = create_engine(os.environ["OWNER_URL"].replace("postgres://", "postgresql+psycopg://", 1))
    user = f"user_{uuid.uuid4()}"

    def of_owner(sql: str, **values: object) -> object:
        with owner.begin() as connection:
            result = connection.execute(text(sql), values)
            return result.scalar() if result.returns_rows else None

    tombstones = "select count(*) from lethe.user_tombstones where user_id = :user"
    of_owner("insert into public.users (id) values (:user)", user=user)
    sample = of_owner("insert into public.samples (user_id) values (:user) returning id", user=user)

    assert delete_sample(session, sample, user) is not None
    assert delete_sample(session, uuid.uuid4(), user) is None
    assert of_owner("select is_deleted from public.samples where id = :sample", sample=sample)

    # The second insert of one account fails, so nothing is asked for either.
    of_owner("insert into public.closed_accounts (user_id) values (:user)", user=user)
    try:
        close_account(session, user)
        raise AssertionError("an account was closed twice")
    except IntegrityError:
        pass
    assert of_owner(tombstones, user=user) == 0

    of_owner("delete from public.closed_accounts where user_id = :user", user=user)
    close_account(session, user)
    assert of_owner("select count(*) from public.closed_accounts where user_id = :user", user=user) == 1
    assert of_owner(tombstones, user=user) == 1


if __name__ == "__main__":
    story()
