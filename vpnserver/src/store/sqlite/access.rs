//! How a call reaches the database: in a transaction of its own, or in one that several calls share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::watch;

use super::{SqliteStore, last_revision, row};
use crate::store::sqlite::FEED_LENGTH;
use crate::store::{Action, Changes, Noun, Result, StoreError, Timestamp};

/// What the calls of the store are made of.
pub(super) trait Access: Send + Sync {
    /// Several statements that see one state.
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T>;
    /// Several statements that take effect together, on the disk when this returns, or not at all.
    fn write<T>(&self, work: impl FnOnce(&Write<'_>) -> Result<T>) -> Result<T>;
    /// Several calls as one.
    fn as_one(&self, changes: Changes<'_>) -> Result<()>;
    /// The store as a whole, for what cannot be part of something else.
    fn whole(&self) -> Result<&SqliteStore>;
    /// The number of the last change of this process.
    fn news(&self) -> watch::Receiver<u64>;
}

impl SqliteStore {
    pub(super) fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic while the lock was held rolled its transaction back; the connection itself is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells followers of this process.
    pub(super) fn tell(&self, revision: u64) {
        self.revision
            .send_if_modified(|last| std::mem::replace(last, revision) != revision);
    }
}

impl Access for SqliteStore {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        work(&transaction)
    }

    fn write<T>(&self, work: impl FnOnce(&Write<'_>) -> Result<T>) -> Result<T> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&Write(&transaction))?;
        let revision = last_revision(&transaction)?;
        transaction.commit()?;
        self.tell(revision);
        Ok(done)
    }

    fn as_one(&self, changes: Changes<'_>) -> Result<()> {
        let mut connection = self.lock();
        let shared = Shared {
            transaction: Mutex::new(Open::begin(&mut connection)?),
            news: self.revision.subscribe(),
        };
        changes(&shared)?;
        let transaction = shared
            .transaction
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let revision = last_revision(transaction.connection)?;
        transaction.commit()?;
        self.tell(revision);
        Ok(())
    }

    fn whole(&self) -> Result<&SqliteStore> {
        Ok(self)
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }
}

/// A transaction that several calls share. Each call is a savepoint: one that fails leaves no half of it behind, also when
/// the caller goes on.
struct Shared<'a> {
    transaction: Mutex<Open<'a>>,
    news: watch::Receiver<u64>,
}

impl Access for Shared<'_> {
    fn read<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let transaction = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        work(transaction.connection)
    }

    fn write<T>(&self, work: impl FnOnce(&Write<'_>) -> Result<T>) -> Result<T> {
        let mut transaction = self.transaction.lock().unwrap_or_else(PoisonError::into_inner);
        let savepoint = transaction.connection.savepoint()?;
        let done = work(&Write(&savepoint))?;
        savepoint.commit()?;
        Ok(done)
    }

    fn as_one(&self, changes: Changes<'_>) -> Result<()> {
        changes(self)
    }

    fn whole(&self) -> Result<&SqliteStore> {
        Err(StoreError::Invalid(
            "a state is kept or put back by itself, not with other changes".into(),
        ))
    }

    fn news(&self) -> watch::Receiver<u64> {
        self.news.clone()
    }
}

/// A transaction that lasts longer than a call, unlike [`rusqlite::Transaction`] sendable between threads. Dropped, it is
/// taken back.
struct Open<'a> {
    connection: &'a mut Connection,
    is_over: bool,
}

impl<'a> Open<'a> {
    fn begin(connection: &'a mut Connection) -> Result<Self> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        Ok(Self {
            connection,
            is_over: false,
        })
    }

    fn commit(mut self) -> Result<()> {
        self.connection.execute_batch("COMMIT")?;
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // A disk that is full may have ended it already.
        if !self.is_over && !self.connection.is_autocommit() {
            let _ = self.connection.execute_batch("ROLLBACK"); // the error that led here is the one to tell
        }
    }
}

/// A transaction that writes the feed.
pub(super) struct Write<'a>(&'a Connection);

impl<'a> Write<'a> {
    /// For a transaction that was begun elsewhere.
    pub(super) fn of(transaction: &'a Connection) -> Self {
        Self(transaction)
    }

    pub(super) fn note(&self, noun: Noun, action: Action, hub: &str, name: &str) -> Result<()> {
        self.0.execute(
            "INSERT INTO change (at, noun, action, hub, name) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                row::signed(Timestamp::now().as_millis()),
                noun.word(),
                action.word(),
                hub,
                name
            ],
        )?;
        let kept = self
            .0
            .last_insert_rowid()
            .saturating_sub(row::signed(FEED_LENGTH));
        self.0
            .execute("DELETE FROM change WHERE revision <= ?1", [kept])?;
        Ok(())
    }
}

impl std::ops::Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}
