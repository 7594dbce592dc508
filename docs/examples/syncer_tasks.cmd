@echo off
rem Windows Task Scheduler: run this once, as the user whose environment has SYNCER_CONFIG and the tokens.
set SYNCER=C:\syncer\.venv\Scripts\syncer.exe
schtasks /Create /F /TN "syncer\pull"   /SC HOURLY /ST 00:07 /TR "%SYNCER% pull hubspot.* --wait 10m --quiet"
schtasks /Create /F /TN "syncer\push"   /SC HOURLY /ST 00:22 /TR "%SYNCER% push hubspot.* --wait 10m --quiet"
schtasks /Create /F /TN "syncer\census" /SC DAILY  /ST 02:37 /TR "%SYNCER% pull hubspot.* --census --wait 1h --quiet"
schtasks /Create /F /TN "syncer\verify" /SC WEEKLY /D SUN /ST 04:17 /TR "%SYNCER% verify hubspot.* --sample 5000 --quiet"
