# Every sentence in English. zh-CN.ftl has the same keys with the same variables; a test compares them.
# $…_at are moments already written for the reader ("in 5 minutes").

list-separator = {", "}

## Refusals: nothing was queued, nothing counts

queue-full = The queue is full: { $waiting } of { $limit } places are taken. Please try again { $retry_at }.
too-many-jobs =
    You already have { $active ->
        [one] one picture
       *[other] { $active } pictures
    } waiting or being drawn, and { $limit } is the most at a time. The next one fits { $retry_at }; `/cancel` makes room at once.
daily-limit = You have used { $used } of your { $limit } pictures in 24 hours. The next one is possible { $retry_at }.
cooling-down =
    A moment, please: you can ask again { $retry_at }. { $cooldown_s ->
        [one] One second has
       *[other] { $cooldown_s } seconds have
    } to pass between two requests.
job-too-large =
    That is more work than one picture may be here. { $max_steps ->
        [0] Please choose a smaller shape.
        [one] At this size one step is the most.
       *[other] At this size { $max_steps } steps are the most.
    }
not-accepting = I am restarting and take nothing new for a moment. Everything that waits is kept. Please try again in a minute.
storage-full = My disk is nearly full, so I take nothing new right now. Please tell the person who runs me.
job-not-found = I know no picture #{ $job_id }. It may have been removed after its time; `/history` lists yours.
not-your-job = Picture #{ $job_id } belongs to somebody else.
job-unreadable = The stored settings of picture #{ $job_id } cannot be read, so it cannot be drawn again.
job-already-finished = Picture #{ $job_id } has already ended, so there is nothing to cancel.
server-not-allowed = I do not work on this server. The person who runs me chooses the servers.
channel-not-allowed = I do not draw in this channel. Please go to { $channels }.
permissions-missing = I cannot answer in { $channel }: I need { $permissions } there. Please ask somebody who manages the channel.
server-not-listed = Pausing and resuming concern every server that I draw for. The person who runs me has to list this one first: `allowed_guilds` in `[discord]`, number { $guild_id }.
store-unavailable = I cannot get at my records right now. Nothing was counted; please try again in a minute.
managers-only = Only members with “Manage Server” can do this.
picture-not-ready = Picture #{ $job_id } is not there: it is still waiting, or it was cancelled or failed.
picture-pruned = The file of picture #{ $job_id } has been removed after its time. The seed is in `/history`: draw it again.

permission-view-channel = “View Channel”
permission-send-messages = “Send Messages”
permission-send-messages-in-threads = “Send Messages in Threads”
permission-embed-links = “Embed Links”
permission-attach-files = “Attach Files”

invalid-prompt = The prompt must have 1 to { $max_chars } visible characters.
invalid-seed = The seed must be a whole number from 0 to { $max_seed }; leave it out (or −1) for a random one.
invalid-steps = The steps must be a whole number from 1 to { $max_steps }.
invalid-aspect = The model in use cannot draw this shape. Please pick one from the list.
invalid-image = The picture to start from must be a PNG, JPEG or WebP file of at most { $max_image_mib } MiB and { $max_image_megapixels } million pixels, { $max_whole_megapixels } million as PNG or WebP, and not far longer than wide.
invalid-strength = The strength must be over 0, at most 1, and needs a picture to start from.
invalid-value = “{ $field }” does not work: { $reason }.

unexpected-error = Something went wrong on my side. Nothing was lost and nothing was counted; please try again. If it stays, tell the person who runs me: error { $error_id }.
command-outdated = This command has just changed. Please wait a minute, or reload Discord (Ctrl+R), and try again.

## Why a job failed

failure-generation-failed = Drawing failed. This cost you nothing; please try again, perhaps with other words.
failure-out-of-memory = The graphics card ran out of memory. This cost you nothing; a smaller shape may work.
failure-timeout = Drawing took too long and was stopped. This cost you nothing; fewer steps or a smaller shape may work.
failure-interrupted = I was restarted twice while drawing this. This cost you nothing; please try again.
failure-model-missing = The model's files are missing. This cost you nothing; please tell the person who runs me.
failure-invalid-spec = The model in use cannot draw this size or these settings. This cost you nothing; please ask again.
failure-storage = A file of this picture could not be read or saved, most likely because the disk is full. This cost you nothing; please tell the person who runs me.
failure-unreadable = The stored settings of this picture are damaged, so it cannot be drawn. This cost you nothing; please ask again.
failure-newer-release = This picture was asked for with a newer version of me, which knew settings that I do not. This cost you nothing; it is drawn if that version is back within a week. You can also ask again.
failure-other = This picture failed for a reason that only a newer version of me can tell. This cost you nothing.
prompt-unreadable = (The stored prompt cannot be read.)

## The card in the channel

card-waiting = ⏳ { $who } · number { $position } in line
card-running = 🎨 { $who } · step { $step } of { $steps } { $bar }
card-loading = 🎨 { $who } · loading the model
card-encoding = 🎨 { $who } · reading the prompt
card-decoding = 🎨 { $who } · finishing the picture
card-stopping = 🎨 { $who } · stopping
card-finish = ready { $when }
card-finish-rough = ready { $when } (about)
card-finish-soon = ready any moment
card-paused = ⏸️ paused: { $reason }
card-paused-by-moderator = ⏸️ paused by a moderator
pause-engine-failures = several pictures in a row failed; after a while I try one again
pause-storage = pictures cannot be saved; I go on as soon as they can
card-resumed = ↻ I was restarted; your place was kept.
card-done = ✅ { $who }
card-done-elsewhere = ✅ { $who } · your picture is in a new message in this channel.
card-done-by-dm = ✅ { $who } · I could not post the picture here, so I sent it to you directly.
card-failed = ❌ { $who } · { $reason }
card-cancelled = 🚫 { $who } · cancelled
card-settings = #{ $job_id } · seed { $seed } · { $steps ->
        [one] 1 step
       *[other] { $steps } steps
    } · { $width } × { $height } · { $model }
card-seconds = { $settings } · { $seconds } s
card-no-seconds = { $settings } · under 0.1 s
card-shrunk = Made smaller to fit Discord's upload limit ({ $format }); the original is kept.
card-prompt-hidden = (The server's AutoMod does not let me repeat the prompt.)
card-from-picture = It started from a picture (strength { $strength }), which the command cannot name: on its own, the command draws another one.
card-other-model = Drawn with { $model }; the command now draws with { $usual }, so the picture will be another one.
# check and draw say it too.
unread-prompt = ⚠️ This model reads English: { $count } of { $total } characters of the prompt mean nothing to it. Please write the prompt in English.
card-picture-pruned = The file has been removed after its time. The same command draws it again.
button-cancel = Cancel

## Private answers

cancel-done = Picture #{ $job_id } is cancelled.
cancel-stopping = Picture #{ $job_id } stops at the next step.

queue-title = { $running ->
        [0] Nothing is being drawn
       *[other] { $running } being drawn
    }, { $waiting } waiting
queue-running = 🎨 #{ $job_id } · { $who } · { $finish }
queue-waiting = { $position }. #{ $job_id } · { $who } · { $finish }
queue-more = … and { $count } more
queue-elsewhere = { $count ->
        [one] + 1 from another server
       *[other] + { $count } from other servers
    }
queue-unknown-finish = waits until the queue goes on

history-title = Your pictures
history-search-title = Your pictures with “{ $search }”
history-empty = No pictures yet. `/imagine` draws the first one.
history-nothing-found = None of your pictures has “{ $search }” in its prompt.
history-line = **#{ $job_id }** · { $when } · seed { $seed }
history-older = Older
history-newest = Newest
history-file-gone = The file of #{ $job_id } has been removed after its time.

quota-title = Your limits
quota-used = Pictures in 24 hours: **{ $used }** of { $limit }
quota-resets = The next one is possible { $resets_at }.
quota-active = Waiting or being drawn: **{ $active }** of { $active_limit }
quota-cooldown = { $cooldown_s ->
        [one] One second between two requests.
       *[other] { $cooldown_s } seconds between two requests.
    }
quota-free = Refused, failed and cancelled-before-start pictures cost nothing.

notes-title = I could not reach you when these ended:
note-done = ✅ #{ $job_id } is done. `/show id:{ $job_id }` posts it.
note-failed = ❌ #{ $job_id }: { $reason }
note-cancelled = 🚫 #{ $job_id } was cancelled.

## The local page

console-starting = The page is being prepared. It opens by itself in a few seconds.
console-prompt = What to draw
console-prompt-hint = a fox in the snow
console-prompt-demo = The built-in model knows 431 things, one or a few at a time; what it does not know mostly becomes a thinking face.
console-prompt-english = The model reads English.
console-draw = Draw
console-seed = Seed (−1 = random)
console-dice = 🎲 Random
console-keep = 📌 Keep
console-steps = Steps
console-aspect = Shape
console-model = Model
console-count = Pictures
console-more = More settings
console-source = Start from a picture
console-strength = Strength: how much of it is drawn anew
console-name = Your name in the queue (optional)
console-name-hint = somebody
console-queued = { $count ->
        [one] Queued.
       *[other] { $count } pictures queued.
    }
console-waiting = Number { $position } in line
console-running = Step { $step } of { $steps }
console-loading = Loading the model
console-encoding = Reading the prompt
console-decoding = Finishing the picture
console-stopping = Stopping
console-resumed = ↻ The service was restarted; your place was kept.
console-download = ⬇ Download
console-reuse = ↩ Settings to the form
console-vary = 🔀 Variations
console-show = Show: { $prompt }
console-ok = OK
console-gallery = Your pictures
console-search = Search in prompts, or a seed
console-older = Older
console-empty = No pictures yet. Say what to draw, and it will be here, also when you come back another day.
console-offline = The service does not answer. This page goes on by itself as soon as it is back; nothing that waits is lost.
console-from-picture = { $settings } · from a picture, strength { $strength }
console-you = you
console-somebody = somebody
console-elsewhere = somebody on Discord
console-in-seconds = in { $count ->
        [one] one second
       *[other] { $count } seconds
    }
console-in-minutes = in { $count ->
        [one] one minute
       *[other] { $count } minutes
    }
console-in-hours = in { $count ->
        [one] one hour
       *[other] { $count } hours
    }
console-too-many-jobs =
    You already have { $active ->
        [one] one picture
       *[other] { $active } pictures
    } waiting or being drawn, and { $limit } is the most at a time. The next one fits { $retry_at }; cancelling one makes room at once.
console-job-not-found = Picture #{ $job_id } is not yours, or it has been removed after its time.
already-unpacking = Another picture to start from is still being read. Please try again in a few seconds.
upload-gone = The picture to start from is not there any more. Please choose it again.
too-many-from-address = From your network address { $used } pictures are waiting or were drawn today, and { $limit } is the most. Please try again { $retry_at }.

## Admin

admin-paused =
    { $paused }
    Waiting pictures keep their places.
admin-resumed = The queue goes on.
admin-stats =
    Model **{ $model }** · { $state }
    Waiting { $waiting } · being drawn { $running }
    In 24 hours: { $done } done, { $failed } failed, { $cancelled } cancelled
    Drawing time in 24 hours: { $gpu_minutes } min · one step: { $step }
    Free disk: { $disk_gib } GiB · started { $started_at }
admin-card = Weights: { $format } · { $resident_gb } GB on the card · { $streamed_gb } GB streamed at every step, { $link_gb_s } GB/s
admin-state-open = taking requests
admin-state-closing = shutting down
admin-step = { $step_s } s
admin-step-unknown = not measured yet

## Commands: names (lower case, at most 32 characters) and descriptions (at most 100)

command-imagine-name = imagine
command-imagine-description = Draw a picture
option-prompt-description = What to draw, in your own words
option-prompt-english-description = What to draw, in your own words, in English
option-seed-description = Same seed and settings, same picture; leave out for a random one
option-steps-description = More steps take longer and show more detail
option-aspect-description = The shape of the picture
aspect-square = Square
aspect-portrait = Portrait
aspect-landscape = Landscape
aspect-phone = Phone
aspect-wide = Wide

command-queue-name = queue
command-queue-description = Who is waiting, and for how long
command-cancel-name = cancel
command-cancel-description = Cancel one of your pictures
option-cancel-job-name = picture
option-cancel-job-description = Which of your pictures, waiting or being drawn
command-history-name = history
command-history-description = Your pictures, newest first (only you see them)
option-search-name = search
option-search-description = Only pictures with this word in the prompt
command-show-name = show
command-show-description = Post one of your pictures again
option-id-name = id
option-id-description = The number of the picture
command-quota-name = quota
command-quota-description = How many pictures you have left

command-admin-name = admin
command-admin-description = Run the queue
command-admin-pause-name = pause
command-admin-pause-description = Stop drawing; waiting pictures keep their places
option-reason-name = reason
option-reason-description = Shown on the cards of those who wait
command-admin-resume-name = resume
command-admin-resume-description = Go on drawing
command-admin-queue-name = queue
command-admin-queue-description = The queue, with the prompts of this server
command-admin-cancel-name = cancel
command-admin-cancel-description = Cancel anybody's picture on this server
command-admin-stats-name = stats
command-admin-stats-description = Load, speed and disk
