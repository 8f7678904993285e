"""Writing the members of an archive below one folder, and refusing those that do not belong there."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from variad.downloads.disk_space import full_disk_named
from variad.downloads.limits import Budget
from variad.downloads.members import Kind, Member, Refusal, link_parts, safe_parts, shown
from variad.downloads.progress import Progress
from variad.errors import UserError

BLOCK = 2**20
LINKS = (Kind.SYMLINK, Kind.HARD_LINK)
Parts = tuple[str, ...]


def write_members(archive: Path, members: Iterable[Member], folder: Path, budget: Budget, progress: Progress) -> None:
    """Write every member below ``folder``, which is empty and nobody else's.

    Raises:
        UserError: names the archive and the member that is refused.
    """
    links: list[tuple[Member, Parts]] = []
    made: set[Parts] = {()}
    for member in members:
        with _refusal_named(archive, member):
            parts = _place_of(member)
            budget.spend(member.size)
            _make_folders(folder, parts if member.kind is Kind.FOLDER else parts[:-1], made)
            if member.kind is Kind.FILE:
                _write_file(member, folder.joinpath(*parts))
            elif member.kind in LINKS:
                links.append((member, parts))
        progress.show(member.packed)
    _make_links(archive, links, folder)


def _place_of(member: Member) -> Parts:
    if member.kind not in (Kind.FILE, Kind.FOLDER, *LINKS):
        raise Refusal("a file, a folder or a link", member.kind.value)
    parts = safe_parts(member.name)
    if not parts and member.kind is not Kind.FOLDER:
        raise Refusal("a name", "none")
    return parts


def _make_folders(folder: Path, parts: Parts, made: set[Parts]) -> None:
    if parts in made:
        return
    _make_folders(folder, parts[:-1], made)
    with full_disk_named(folder):
        folder.joinpath(*parts).mkdir()  # fails where a file has the name
    made.add(parts)


def _write_file(member: Member, path: Path) -> None:
    written = 0
    with full_disk_named(path), open(path, "xb") as stream:  # x: no member takes the place of another
        while member.content is not None and (chunk := member.content.read(BLOCK)):
            stream.write(chunk)
            written += len(chunk)
    if written != member.size:
        raise Refusal(f"{member.size:,} bytes", f"{written:,}")


def _make_links(archive: Path, links: list[tuple[Member, Parts]], folder: Path) -> None:
    """Make the links, which may lead to nothing but files of this archive.

    All are checked before the first is made, so that none can lead on through another.
    """
    targets = [_target_of(archive, member, parts, folder) for member, parts in links]
    for (member, parts), target in zip(links, targets, strict=True):
        path = folder.joinpath(*parts)
        with _refusal_named(archive, member), full_disk_named(path):
            if member.kind is Kind.SYMLINK:
                path.symlink_to(os.path.relpath(target, path.parent))
            else:
                path.hardlink_to(target)


def _target_of(archive: Path, member: Member, parts: Parts, folder: Path) -> Path:
    with _refusal_named(archive, member):
        target = folder.joinpath(*link_parts(member, parts))
        if not target.is_file():
            raise Refusal("a link to a file of the archive", f"{member.kind.value} to {shown(member.link)}")
        return target
    raise AssertionError  # the block above returns or raises


@contextmanager
def _refusal_named(archive: Path, member: Member) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        raise UserError(f"{archive}: member {shown(member.name)}: {refusal}.") from None
    except (FileExistsError, NotADirectoryError):
        raise UserError(
            f"{archive}: member {shown(member.name)}: expected a name that no other member has, found it taken."
        ) from None
