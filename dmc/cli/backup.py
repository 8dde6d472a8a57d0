"""`dmc backup` and `dmc restore`: a server's ledger, settings and, if wished, media and secrets, in one file and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dmc.cli.broker import Config, Data
from dmc.cli.render import DryRun, Json, Screen, screen_of

if TYPE_CHECKING:
    from dmc.broker.archive import Manifest
    from dmc.server_settings import ServerSettings


def register(app: typer.Typer) -> None:
    """Add the commands to the front door."""
    app.command()(backup)
    app.command()(restore)


def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The file to write (.tar.gz), or with --verify to check.")],
    verify: Annotated[bool, typer.Option("--verify", help="Check a backup: every digest, and a restore into a scratch folder.")] = False,
    with_media: Annotated[bool, typer.Option("--with-media", help="Originals and results too.")] = False,
    with_secrets: Annotated[bool, typer.Option("--with-secrets", help="Tokens (stored hashed) and the key made for TLS too.")] = False,
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Back up the server's data folder; server and broker may run. Example: dmc backup /mnt/nas/dmc-monday.tar.gz --with-media"""
    from dmc.assemble.backup import Wanted, check_target, make_backup
    from dmc.config import find_file, load_server

    screen = screen_of(context)
    loaded = load_server(config, {"data_folder": data_folder})
    if verify:
        _verify(screen, loaded.settings, file, as_json)
        return
    if dry_run:
        check_target(loaded.settings, file)
        screen.say(f"would back up {loaded.settings.data_folder} to {file}")
        return
    files = {"server": loaded.file, "client": find_file("client")}
    wanted = Wanted({kind: path for kind, path in files.items() if path is not None}, with_media, with_secrets)
    manifest = make_backup(loaded.settings, file, wanted)
    if as_json:
        screen.document("backup", {"file": str(file), "file_size": file.stat().st_size, **_facts(manifest)})
        return
    media = f", the files of {len(manifest.media)}" if with_media else ""
    screen.say(f"backed up {manifest.items} items{media} to {file}. Check it with: dmc backup --verify {file}")


def _verify(screen: Screen, settings: "ServerSettings", file: Path, as_json: bool) -> None:
    from dmc.assemble.backup import verify_backup
    from dmc.errors import VerificationFailed

    manifest, restored, findings = verify_backup(settings, file)
    if as_json:
        told = [{"kind": one.kind, "item_id": one.item_id, "detail": one.detail} for one in findings]
        screen.document("backup", {"file": str(file), **_facts(manifest), "left_out": list(restored.left_out), "findings": told})
    if findings:
        raise VerificationFailed(f"{file.name}: {len(findings)} things do not fit; the first: {findings[0].detail}", "Take another backup.")
    if not as_json:
        screen.say(f"{file.name} is whole: {manifest.items} items of {manifest.made_at}, made by dmc {manifest.dmc_version}.")


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `dmc backup` has written.")],
    config: Config = None,
    data_folder: Data = None,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Make an empty data folder from a backup; the ledger is of the kind that the settings name. Example: dmc restore dmc-monday.tar.gz"""
    from dmc.assemble.backup import restore_backup
    from dmc.config import load_server

    screen = screen_of(context)
    settings = load_server(config, {"data_folder": data_folder}).settings
    manifest, restored = restore_backup(settings, file, dry_run=dry_run)
    without = sum(item.gone == "files" for item in restored.items)
    if as_json:
        counts = {"items": len(restored.items), "without_files": without, "left_out": list(restored.left_out)}
        screen.document("restore", {"data_folder": str(settings.data_folder), "made_at": manifest.made_at, "dry_run": dry_run, **counts})
        return
    screen.say(
        f"{'would restore' if dry_run else 'restored'} {len(restored.items)} items of {manifest.made_at} into {settings.data_folder}."
    )
    if without:
        screen.say(f"{without} of them are records only: they are done, and their files are not in the backup.")
    if restored.left_out:
        screen.say(
            f"{len(restored.left_out)} items are left out: their files are not in the backup. Clients send them again by themselves."
        )
    if not manifest.with_secrets:
        screen.say("Tokens are not in this backup. Make new ones with: dmc server token create NAME")


def _facts(manifest: "Manifest") -> dict[str, object]:
    facts = manifest.model_dump(mode="json", exclude={"members", "media", "schema_number"})
    return {**facts, "media": len(manifest.media)}
