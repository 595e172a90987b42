# Every sentence in English. zh-CN.ftl and zh-TW.ftl have the same keys with the same variables; a test compares them.
# $…_at are moments already written for the reader ("in 5 minutes").

list-separator = {", "}

## Refusals: nothing was queued, nothing counts

queue-full = The queue is full: { $waiting } of { $limit } places are taken. Please try again { $retry_at }.
too-many-jobs =
    You already have { $active ->
        [one] one request
       *[other] { $active } requests
    } waiting or being drawn, and the limit is { $limit } at a time. You can ask for the next one { $retry_at }, or make room at once with `/cancel`.
daily-limit = You have used { $used } of your { $limit } images in 24 hours. You can ask for the next one { $retry_at }.
cooling-down =
    Please wait a moment: you can ask again { $retry_at }. { $cooldown_s ->
        [one] One second
       *[other] { $cooldown_s } seconds
    } must pass between two requests.
job-too-large =
    This image needs more work than is allowed here. { $max_steps ->
        [0] Please choose a smaller size.
        [one] At this size, the limit is one step.
       *[other] At this size, the limit is { $max_steps } steps.
    }
not-accepting = I am restarting and cannot accept new requests for a moment. Waiting images keep their places. Please try again in a minute.
storage-full = My disk is almost full, so I cannot accept new requests right now. Please tell the person who runs this bot.
job-not-found-here = There is no image #{ $job_id } on this server. It may have expired.
file-not-deleted = The file of image #{ $job_id } cannot be deleted right now, so nothing was changed. Please try again later.
job-not-found = There is no image #{ $job_id }. It may have expired; `/history` lists your images.
not-your-job = Image #{ $job_id } belongs to somebody else.
job-unreadable = The stored settings of image #{ $job_id } cannot be read, so it cannot be drawn again.
job-already-finished = Image #{ $job_id } has already finished, so there is nothing to cancel.
server-not-allowed = I do not work on this server. The person who runs this bot chooses the servers.
channel-not-allowed = I do not draw in this channel. Please use { $channels }.
permissions-missing = I cannot answer in { $channel } without { $permissions }. Please ask somebody who manages the channel.
server-not-listed = Pausing and resuming affect every server that this bot serves. The person who runs it must first add this server to `allowed_guilds` in `[discord]`: { $guild_id }.
store-unavailable = My database is not available right now. Nothing was counted; please try again in a minute.
managers-only = Only members with the “Manage Server” permission can do this.
picture-not-ready = Image #{ $job_id } is not available: it is still waiting, or it failed or was cancelled.
picture-pruned = The file of image #{ $job_id } has expired and was removed. Its seed is in `/history`, so you can draw it again.
picture-erased = Image #{ $job_id } was deleted, and its prompt with it.
keeps-too-many = You already keep { $limit } images, and that is the limit. Let go of one first.

permission-view-channel = “View Channel”
permission-send-messages = “Send Messages”
permission-send-messages-in-threads = “Send Messages in Threads”
permission-embed-links = “Embed Links”
permission-attach-files = “Attach Files”

invalid-prompt-empty = Write what to draw first.
invalid-prompt = The prompt must have 1 to { $max_chars } visible characters.
invalid-seed = The seed must be a whole number from 0 to { $max_seed }. Leave it out (or use −1) for a random one.
invalid-steps = The number of steps must be from 1 to { $max_steps }.
invalid-aspect = The current model cannot draw this shape. Please choose one from the list.
invalid-model-other = There is no such model here. Please choose one of: { $models }.
invalid-image = The starting image must be a PNG, JPEG or WebP file of at most { $max_image_mib } MiB and { $max_image_megapixels } million pixels ({ $max_whole_megapixels } million for PNG and WebP), and must not be extremely long and narrow.
invalid-strength = The strength must be `subtle`, `medium` or `strong`, or a number greater than 0 and at most 1, such as `0.6` or `60%`.
invalid-value = “{ $field }” is not valid: { $reason }.

unexpected-error = Something went wrong on my side. Nothing was lost and nothing was counted; please try again. If it happens again, tell the person who runs this bot: error { $error_id }.
command-outdated = This command has just changed. Please wait a minute or reload Discord (Ctrl+R), then try again.

## Why a job failed

failure-generation-failed = Drawing failed. This cost you nothing; please try again, perhaps with a different prompt.
failure-out-of-memory = The GPU ran out of memory. This cost you nothing; a smaller size may work.
failure-timeout = Drawing took too long and was stopped. This cost you nothing; fewer steps or a smaller size may work.
failure-interrupted = I was restarted twice while drawing this image. This cost you nothing; please try again.
failure-model-missing = Files of the model are missing. This cost you nothing; please tell the person who runs this bot.
failure-invalid-spec = The current model cannot draw this size or these settings. This cost you nothing; please ask again.
failure-storage = A file of this image could not be read or saved, probably because the disk is full. This cost you nothing; please tell the person who runs this bot.
failure-unreadable = The stored settings of this image are damaged, so it cannot be drawn. This cost you nothing; please ask again.
failure-newer-release = This image was requested from a newer version of this bot, with settings that the current version does not know. This cost you nothing; the image will be drawn if that version is back within a week. You can also ask again.
failure-blocked = The image check of this machine did not let this image pass. This cost you nothing.
failure-other = This image failed for a reason that only a newer version of this bot can explain. This cost you nothing.
prompt-unreadable = (The stored prompt cannot be read.)

## The message in the channel

card-waiting = ⏳ { $who } · waiting
card-next = ⏳ { $who } · you are next
card-next-loading = ⏳ { $who } · you are next · loading { $model }
card-ahead = ⏳ { $who } · { $count } ahead of you
card-preparing = ⚙️ { $model } is being loaded first.
card-passed-by-people = ↕️ Others have used less drawing time in the last hour, so they go first.
card-passed-by-model = ↕️ Images for the model that is already loaded go first, for two minutes at most.
card-running = 🎨 { $who } · step { $step } of { $steps }
card-loading = 🎨 { $who } · loading { $model }
card-encoding = 🎨 { $who } · reading the prompt
card-decoding = 🎨 { $who } · finishing the image
card-stopping = 🎨 { $who } · stopping
card-finish = ready { $when }
card-finish-rough = expected { $when }
card-finish-soon = ready any moment
card-paused = ⏸️ paused: { $reason }
card-paused-by-moderator = ⏸️ paused by a moderator
pause-engine-failures = several images in a row failed; I will try another one after a while
pause-storage = images cannot be saved; drawing resumes as soon as they can
card-resumed = ↻ I was restarted; your place was kept.
card-done = ✅ { $who } · your image is ready
card-done-elsewhere = ✅ { $who } · your image is in a new message in this channel.
card-done-by-dm = ✅ { $who } · I could not post the image here, so I sent it to you as a direct message.
card-failed = ❌ { $who } · { $reason }
card-cancelled = 🚫 { $who } · cancelled
card-settings = #{ $job_id } · seed { $seed } · { $steps ->
        [one] 1 step
       *[other] { $steps } steps
    } · { $width } × { $height } · { $model }
card-seconds = { $settings } · { $seconds } s
card-no-seconds = { $settings } · under 0.1 s
card-shrunk = Made smaller to fit Discord's upload limit ({ $format }); the original is kept.
card-prompt-hidden = (The server's AutoMod does not allow me to repeat the prompt.)
card-from-picture = Drawn from a starting image (strength { $strength }), which the command cannot include: on its own, the command draws a different image.
card-other-model = Drawn with { $model }; the command now uses { $usual }, so it will draw a different image.
# check and draw say it too.
unread-prompt = ⚠️ This model reads English: { $count } of { $total } characters of the prompt are unknown to it. Please write the prompt in English.
prompt-cut = ⚠️ The prompt is longer than this model can read, so its end has no effect. Please shorten it.
negative-cut = ⚠️ The negative prompt is longer than this model can read, so its end has no effect. Please shorten it.
card-picture-pruned = The file has expired and was removed. The same command draws it again.
button-cancel = Cancel

## Private answers

cancel-done = Image #{ $job_id } was cancelled.
cancel-stopping = Image #{ $job_id } stops at the next step; there is nothing more to do.

queue-title = { $running ->
        [0] { $waiting ->
                [0] Nobody is waiting.
               *[other] Nothing is being drawn, { $waiting } waiting
            }
       *[other] { $running } being drawn, { $waiting ->
                [0] nobody waiting
               *[other] { $waiting } waiting
            }
    }
queue-running = 🎨 #{ $job_id } · { $who } · { $finish }
queue-waiting = { $position }. #{ $job_id } · { $who } · { $finish }
queue-more = … and { $count } more
queue-elsewhere = { $count ->
        [one] + 1 from another server
       *[other] + { $count } from other servers
    }
queue-unknown-finish = waits until the queue resumes

history-title = Your images
history-search-title = Your images with “{ $search }”
history-empty = No images yet. `/imagine` draws the first one.
history-nothing-found = None of your images matches “{ $search }”. You can search by words of the prompt, by seed (seed:42), number (#35) or date (yesterday, 2026-11-29, 2026-11-01..2026-11-10).
history-line = **#{ $job_id }** · { $when } · seed { $seed }
history-older = Older
history-newest = Newest
history-file-gone = The file of #{ $job_id } has expired and was removed.

quota-title = Your limits
quota-used = Images in 24 hours: **{ $used }** of { $limit }
quota-resets = You can ask for the next one { $resets_at }.
quota-active = Requests waiting or being drawn: **{ $active }** of { $active_limit }
quota-cooldown = { $cooldown_s ->
        [one] At least one second between two requests, if something of yours is unfinished or others wait.
       *[other] At least { $cooldown_s } seconds between two requests, if something of yours is unfinished or others wait.
    }
quota-sizes = A draft counts for its share of an image, a large image or one with more steps for more.
quota-free = Requests that are refused, fail or are cancelled before they start cost nothing.

notes-title = What became of your earlier requests:
note-done = ✅ #{ $job_id } is done. `/show id:{ $job_id }` posts it.
note-failed = ❌ #{ $job_id }: { $reason }
note-cancelled = 🚫 #{ $job_id } was cancelled.

## The local page

console-starting = The page is being prepared. It opens by itself in a few seconds.
console-prompt = What to draw
console-prompt-demo = The built-in model knows 431 things, one or a few at a time; what it does not know mostly becomes a thinking face.
console-prompt-english = The model reads English.
console-draw = Draw
console-seed = Seed (−1 = random)
console-dice = 🎲 Random
console-keep = 📌 Keep
console-steps = Steps
console-aspect = Shape
console-model = Model
console-count = Images
console-more = More settings
console-source = Start from an image
console-strength = Strength: how much of it is redrawn
console-name = Your name in the queue (optional)
console-name-hint = somebody
console-queued = { $count ->
        [one] Queued.
       *[other] { $count } images queued.
    }
console-waiting = Waiting
console-next = You are next
console-next-loading = You are next · loading { $model }
console-ahead = { $count } ahead of you
console-running = Step { $step } of { $steps }
console-loading = Loading { $model }
console-encoding = Reading the prompt
console-decoding = Finishing the image
console-stopping = Stopping
console-resumed = ↻ The service was restarted; your place was kept.
console-download = ⬇ Download
console-reuse = ↩ Use these settings
console-ok = OK
console-gallery = Your images
console-search = Search by words, seed or date
console-offline = The service is not responding. This page reconnects by itself, and nothing that is waiting is lost.
console-from-picture = { $settings } · from an image, strength { $strength }
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
        [one] one request
       *[other] { $active } requests
    } waiting or being drawn, and the limit is { $limit } at a time. You can ask for the next one { $retry_at }, or make room at once by cancelling one.
console-job-not-found = Image #{ $job_id } is not yours, or it has expired and was removed.
already-unpacking = Another starting image is still being read. Please try again in a few seconds.
upload-gone = The starting image is no longer available. Please choose it again.
too-many-from-address = { $used } images from your network address are waiting or were drawn today, and the limit is { $limit }. Please try again { $retry_at }.

## Admin

admin-paused =
    { $paused }
    Waiting images keep their places.
admin-resumed = The queue has resumed. { $waiting ->
        [0] Nothing is waiting.
        [one] One image is waiting.
       *[other] { $waiting } images are waiting.
    }
admin-stats =
    Model **{ $model }** · { $state }
    Waiting { $waiting } · being drawn { $running }
    In 24 hours: { $done } done, { $failed } failed, { $cancelled } cancelled
    Drawing time in 24 hours: { $drawn } · one step: { $step }
    Free disk: { $disk_gib } GiB · started { $started_at }
admin-card = Weights: { $format } · { $resident_gb } GB on the GPU · { $streamed_gb } GB streamed at every step, { $link_gb_s } GB/s
admin-state-open = accepting requests
admin-state-closing = shutting down
admin-step = { $step_s } s
admin-step-unknown = not measured yet

## Words that a model does not know

# $words are as they were typed.
unknown-words = ⚠️ The { $model } model does not know: { $words }. `/help` shows what it can draw.
console-unknown-words = ⚠️ The { $model } model does not know: { $words }.
unknown-words-and-more = { $words } and more
unknown-word-meant = { $word } ({ $meant }?)

## Help, mentions, direct messages

# $imagine and $help are commands to be clicked.
help-title = What I do
help-about = Describe an image with `/imagine prompt: …` and I draw it, on the computer of the person who runs me. Everybody here sees the image, and its message says how to draw it again.
help-knows-title = What this model can draw
help-knows = { $count } things, one to four at a time, on a background of any colour. Some of them: { $names }
help-models-title = Models and their licences
help-model-commercial = **{ $title }** · { $licence } · commercial use is allowed
help-model-private = **{ $title }** · { $licence } · not for commercial use
help-models-more = … and { $count } more
help-languages-title = Languages
help-languages = The model here ({ $model }) reads: { $languages }.
help-languages-any = The model here ({ $model }) reads any language.
language-en = English
language-zh = Chinese
help-limits-title = Your limits
help-stored-title = What is stored
help-stored =
    { $days ->
        [one] For one day
       *[other] For { $days } days
    }, on the computer that runs me: your Discord id, your prompts, their settings and the images. Images that you keep stay longer. Whoever runs me can see all of it. The messages here stay until somebody deletes them.
help-examples-title = Try one
help-examples = Each button draws here, for everybody to see, and counts as your own image.
example-gone = This example belongs to another model or version, so I did not draw it. `/help` shows those of today.
greeting-server = Write { $imagine } and describe the image after “prompt:”. { $help } shows examples to press.
greeting-direct = Commands work on a server, not here: write { $imagine } there and describe the image after “prompt:”. { $help } shows examples to press.

## Commands: names (lower case, at most 32 characters) and descriptions (at most 100)

# The same in every language, like the names of its options: an image shows the command that draws it again, and it has
# to work for whoever copies it, since Discord reads a pasted command in the language of the reader.
command-imagine-name = imagine
command-imagine-description = Draw an image
option-prompt-description = What to draw, in your own words
option-prompt-english-description = What to draw, in your own words, in English
option-seed-description = Same seed and settings, same image; −1 or nothing for a random one
option-steps-description = More steps take longer and show more detail
option-aspect-description = The shape of the image
aspect-square = Square
aspect-portrait = Portrait
aspect-landscape = Landscape
aspect-phone = Phone
aspect-wide = Wide

command-queue-name = queue
command-queue-description = Who is waiting, and for how long
command-cancel-name = cancel
command-cancel-description = Cancel one of your images
option-cancel-job-name = picture
option-cancel-job-description = Which of your images, waiting or being drawn
command-history-name = history
command-history-description = Your images, newest first (only you can see them)
option-search-name = search
option-search-description = Words, a seed (seed:42), a number (#35) or a date (yesterday, 11-29, 2026-11-01..2026-11-10)
command-show-name = show
command-show-description = Post an image again: one of yours, or any public one of this server
option-id-name = id
option-id-description = The number of the image
command-quota-name = quota
command-quota-description = Your limits, and how much of them you have used

command-help-name = help
command-help-description = What I can do, with examples to press

command-admin-name = admin
command-admin-description = For moderators: the queue, images, bans, words, limits and channels
command-admin-pause-name = pause
command-admin-pause-description = Stop drawing; waiting images keep their places
option-reason-name = reason
option-reason-description = Shown to everybody who is waiting
command-admin-resume-name = resume
command-admin-resume-description = Resume drawing
command-admin-queue-name = queue
command-admin-queue-description = The queue, with the prompts of this server
command-admin-cancel-name = cancel
command-admin-cancel-description = Cancel anybody's image on this server
command-admin-stats-name = stats
command-admin-stats-description = Load, speed and disk

## Buttons under an image, and what they open

button-again = 🔄 Again
button-edit = ✏️ Edit
button-vary = 🌱 Vary
button-more = ⋯ More
button-final = 🎨 Final size
form-size = Size
form-size-hint = { $names }, or a width and a height like { $example }
option-size-description = A size from the list, or a width and a height like 448x448
button-more-steps = 🔬 Same seed, { $steps } steps
button-start-from = 🖼️ Use as starting image
button-info = ℹ️ Info
button-original = 📄 Original file
button-send-dm = ✉️ Send to me
button-keep = ⭐ Keep
button-unkeep = ⭐ Stop keeping
button-delete = 🗑️ Delete
button-erase = 🗑️ Delete for good
press-repeated = Got it: one press is enough.
pick-title = Which image?
pick-option = Image { $number } · #{ $job_id } · seed { $seed }
menu-title = Image #{ $job_id } · { $prompt }
info-title = Image #{ $job_id }
info-asked = Asked for by { $who } { $when }
info-drawn = Finished { $when }, drawn in { $seconds } s
info-derived = Made from image #{ $job_id }
info-from-image = Started from an image, strength { $strength }
info-file = File: { $kib } KiB
info-kept = ⭐ Kept: it does not expire.
original-file = The file of image #{ $job_id }
dm-sent = I sent you image #{ $job_id }.
dm-closed = I cannot send you direct messages. Allow direct messages from this server in its privacy settings, then try again.
image-kept = ⭐ Image #{ $job_id } is kept: it does not expire.
image-kept-no-longer = Image #{ $job_id } expires with the others again.
delete-question = Delete image #{ $job_id } for good? The file, the prompt and the message will be gone. It still counts toward today's limit.
image-deleted = Image #{ $job_id } was deleted, and its prompt with it.
image-deleted-but-message = Image #{ $job_id } was deleted, and its prompt with it, but I could not take back its message. Please delete the message yourself, or ask a moderator.
form-edit-title = Edit image #{ $job_id }
form-start-from-title = Start from image #{ $job_id }
form-prompt = What to draw
form-seed = Seed
form-seed-hint = Same seed: similar image. Empty: a random one.
form-steps = Steps
form-aspect = Shape
form-strength = How much is redrawn
strength-subtle = Subtle: close to the image
strength-medium = Medium: same layout, new content
strength-strong = Strong: only a hint of the image
fewer-queued = { $count } of { $wanted } images were queued.
card-batch = { $done } of { $count } images done
card-done-several = ✅ { $who } · { $done ->
        [1] 1 of { $count } images is ready
       *[other] { $done } of { $count } images are ready
    }
card-done-all = ✅ { $who } · your { $count } images are ready
card-some-cancelled = 🚫 { $count ->
        [one] One image was cancelled.
       *[other] { $count } images were cancelled.
    }
card-some-failed = ❌ Not all of them worked out: { $reason }
card-settings-several = { $job_ids } · seeds { $seeds } · { $steps ->
        [one] 1 step
       *[other] { $steps } steps
    } · { $width } × { $height } · { $model }
ping-done = ✅ { $who } { $count ->
        [one] Your image is ready.
       *[other] Your images are ready.
    }
ping-failed = ❌ { $who } Your image did not work out; its message says why.
command-settings-name = settings
command-settings-description = Your own settings
option-ping-name = ping
option-ping-description = How to tell you that an image is finished, if you waited for more than a minute
ping-choice-here = Here, in the channel
ping-choice-dm = By direct message
ping-choice-off = Not at all
option-count-description = How many images, with seeds in a row
option-model-description = Which model draws; /help lists them
option-negative-description = What to avoid, in your own words; models without this setting refuse it
option-cfg-description = How closely to follow the words; 1 switches what to avoid off
option-guidance-description = How closely to follow the words, for models of the FLUX family
option-sampler-description = How noise becomes an image
option-clip-skip-description = Which layer of CLIP to use; 1 is the last

## Flags in a prompt, and settings pasted from other programs

invalid-flag = “{ $flag }” in the prompt: { $name ->
        [seed] the seed must be a whole number from 0 to { $most }, or -1 for a random one.
        [steps] the number of steps must be from 1 to { $most }.
        [count] the number of images must be from 1 to { $most }.
        [aspect] a shape is written like 16:9, or by its name: square, portrait, landscape, phone, wide.
        [size] a size is draft, normal, large, or written like 448x448.
        [model] the name of a model is missing.
        [cfg_scale] the CFG scale must be a number from 1 to { $most }.
        [guidance] the guidance must be a number from 0 to { $most }.
        [clip_skip] CLIP skip must be a whole number from 1 to { $most }.
        [sampler] the name of a sampler is missing.
        [strength] a strength is subtle, medium, strong, a number over 0 and at most 1, or a percentage like 60%.
       *[other] the value is missing.
    }
flags-taken = Taken from your prompt: { $settings }
flags-taken-aspect = shape { $value ->
        [square] square
        [portrait] portrait
        [landscape] landscape
        [phone] phone
        [wide] wide
       *[other] { $value }
    }
flags-taken-size = size { $value ->
        [draft] draft
        [normal] normal
        [large] large
       *[other] { $value }
    }
flags-taken-seed = { $value ->
        [-1] random seed
       *[other] seed { $value }
    }
flags-taken-steps = { $value ->
        [one] 1 step
       *[other] { $value } steps
    }
flags-taken-count = { $value ->
        [one] 1 image
       *[other] { $value } images
    }
flags-taken-model = model { $value }
flags-taken-negative = without { $value }
flags-taken-no-negative = no negative prompt
flags-taken-cfg = CFG { $value }
flags-taken-guidance = guidance { $value }
flags-taken-sampler = sampler { $value }
flags-taken-clip-skip = CLIP skip { $value }
flags-most-images = At most { $most } images at a time.
flags-unknown = Not known here: { $names }
flags-unsupported = Not possible here with { $model }: { $names }
flags-unused = Not used here: { $names }
flags-overridden = Not taken from the prompt, because you set it elsewhere: { $names }
flags-more = and { $count } more

## Sizes

size-draft = Draft
size-normal = Normal
size-large = Large
invalid-size = The size must be `draft`, `normal` or `large`, or a width and a height in pixels like `448x448`.
invalid-size-nearest = { $model } cannot draw this size. The nearest that it can draw is `{ $nearest }`.
invalid-size-not-offered = { $model } does not offer this size. It offers: { $sizes }.
invalid-size-memory = An image of { $size } does not fit into the memory of the GPU here. Please choose a smaller size.
already-final = Image #{ $job_id } is no draft: drawn at normal size, it would be no larger.
console-size = Size
console-exact-size = Exact size, in place of shape and size (optional)
console-exact-size-hint = 448x448

## Settings that only some models have

invalid-negative-prompt = The negative prompt may have at most { $max_chars } visible characters.
invalid-negative-prompt-not-offered = { $model } cannot be told what to avoid. Please leave out the negative prompt and describe what you want instead.
invalid-cfg-scale = The CFG scale must be a number from { $min_cfg } to { $max_scale }.
invalid-cfg-scale-not-offered = { $model } has no CFG scale to set. Please leave it out.
invalid-guidance = The guidance must be a number from 0 to { $max_scale }.
invalid-guidance-not-offered = { $model } has no guidance to set. Please leave it out.
invalid-sampler = There is no such sampler. Please choose one of: { $samplers }.
invalid-sampler-other = { $model } does not offer this sampler. It offers: { $samplers }.
invalid-sampler-not-offered = { $model } has only one sampler, so there is nothing to choose. Please leave it out.
invalid-clip-skip = CLIP skip must be a whole number from 1 to { $max_clip_skip }.
invalid-clip-skip-not-offered = { $model } has no CLIP skip to set. Please leave it out.
settings-sampling = Sampler { $sampler } · CFG { $cfg }
settings-clip-skip = CLIP skip { $clip_skip }
settings-negative = Negative prompt: { $negative }
negative-idle = ⚠️ At CFG scale 1, the negative prompt changes nothing.
setting-negative-prompt = negative prompt
setting-cfg-scale = CFG scale
setting-guidance = guidance
setting-sampler = sampler
setting-clip-skip = CLIP skip
settings-lost = { $model } does not have these settings of the image before, so they were dropped: { $names }
setting-own = as the model draws
console-negative = What to avoid (negative prompt)
console-cfg = CFG scale
console-guidance = Guidance
console-sampler = Sampler
console-clip-skip = CLIP skip

## Moderation

invalid-moment = { $flaw ->
        [past] This time is already over. Please name one that is still to come.
        [far] This is more than ten years ahead. Please name an earlier time, or leave it out for no end.
       *[unreadable] This time cannot be read. Write it like `30m`, `2h`, `3d`, `18:00`, `2026-12-24` or `2026-12-24 18:00`.
    }
picture-removed = { $has_reason ->
        [yes] Image #{ $job_id } was removed by a moderator: { $reason }
       *[no] Image #{ $job_id } was removed by a moderator.
    }
note-removed = { $has_reason ->
        [yes] 🚫 #{ $job_id } was removed by a moderator: { $reason }
       *[no] 🚫 #{ $job_id } was removed by a moderator.
    }
note-stopped = { $has_reason ->
        [yes] 🚫 #{ $job_id } was cancelled by a moderator: { $reason }
       *[no] 🚫 #{ $job_id } was cancelled by a moderator.
    }
card-stopped = { $has_reason ->
        [yes] 🚫 { $who } · cancelled by a moderator: { $reason }
       *[no] 🚫 { $who } · cancelled by a moderator
    }
prompt-erased = (The prompt was deleted.)
banned = { $has_reason ->
        [yes] You may not draw here any more. A moderator banned you: { $reason }
       *[no] You may not draw here any more. A moderator banned you.
    }
banned-until = { $has_reason ->
        [yes] A moderator banned you from drawing: { $reason }
            The ban ends { $until_at }.
       *[no] A moderator banned you from drawing. The ban ends { $until_at }.
    }
blocked-word = { $is_disguised ->
        [yes] “{ $found }” reads like “{ $word }”, which is on the list of words that are not drawn here. Please leave it out.
       *[no] “{ $word }” is on the list of words that are not drawn here. Please leave it out.
    }
restricted-word = { $is_disguised ->
        [yes] “{ $found }” reads like “{ $word }”, which is drawn in age-restricted channels only. Please leave it out, or ask in one of those.
       *[no] “{ $word }” is drawn in age-restricted channels only. Please leave it out, or ask in one of those.
    }
invalid-word = “{ $word }” cannot be on the list: a word needs at least two letters, or one Chinese character, and has at most 100 characters.
too-many-words = The list is full: it holds at most { $limit } words.
command-admin-remove-name = remove
command-admin-remove-description = Remove an image of this server for good, with its prompt
option-remove-reason-name = reason
option-remove-reason-description = Told to the person who asked for it
command-admin-ban-name = ban
command-admin-ban-description = Stop somebody from drawing, on every server
option-ban-user-name = user
option-ban-user-description = The person
option-ban-until-name = until
option-ban-until-description = Like 2h, 3d, 2026-12-24 or 2026-12-24 18:00; left out: until you lift it
option-ban-reason-name = reason
option-ban-reason-description = Told to that person
command-admin-unban-name = unban
command-admin-unban-description = Let somebody draw again
command-admin-bans-name = bans
command-admin-bans-description = Show who may not draw
command-admin-words-name = words
command-admin-words-description = Words that are not drawn
command-admin-words-add-name = add
command-admin-words-add-description = Refuse prompts that contain a word, however it is written
command-admin-words-remove-name = remove
command-admin-words-remove-description = Take a word off the list
command-admin-words-test-name = test
command-admin-words-test-description = See what a text would be refused for
command-admin-words-list-name = list
command-admin-words-list-description = Show the list
option-word-name = word
option-word-description = A word or a phrase; several are separated by commas
option-where-name = where
option-where-description = Where it is refused
where-everywhere = everywhere
where-sfw = outside age-restricted channels
option-test-text-name = text
option-test-text-description = What somebody might ask for
admin-removed = Image #{ $job_id } was removed for good, and its prompt with it.
admin-removed-but-message = Image #{ $job_id } was removed for good. Its message could not be deleted yet; I keep trying, or you delete it.
admin-banned = { $who } may not draw { $until }. Requests cancelled: { $count }.
ban-for-good = until you lift the ban
ban-until = until { $when }
admin-unbanned = { $who } may draw again.
admin-not-banned = { $who } is not banned.
admin-bans-title = Banned: { $count }
admin-ban-line = { $has_reason ->
        [yes] { $who } · { $until } · { $reason }
       *[no] { $who } · { $until }
    }
admin-ban-nobody = somebody who had everything deleted
admin-bans-more = and { $count } more
admin-words-added = Refused from now on ({ $where }): { $words }
admin-words-removed = No longer refused: { $words }
admin-words-not-there = This is not on the list.
admin-words-empty = The list is empty: every prompt is drawn.
admin-words-title = Words that are not drawn: { $count }
admin-words-passes = This would be drawn: it contains no listed word.
admin-words-caught = This would be refused ({ $where }): “{ $found }” is read as “{ $word }”.

## Roles, quotas and channels

steps-not-allowed = You asked for { $steps } steps, and your roles allow up to { $limit }. Please ask for fewer.
model-not-allowed = Your roles do not allow { $model }. You can draw with: { $allowed }.
quota-own = A moderator set this number of images for you.
quota-steps = { $max_steps ->
        [one] At most one step for an image.
       *[other] At most { $max_steps } steps for an image.
    }
quota-models = Models for your roles: { $models }
admin-quota-set = { $who } may now draw { $images ->
        [one] one image
       *[other] { $images } images
    } in any 24 hours, whatever their roles say.
admin-quota-reset = The images per day of { $who } follow their roles and the usual limits again.
channel-holds = In { $channel }, unless somebody asks for something else:
channel-model = Model: { $model }
channel-model-usual = Model: { $model }, as everywhere
channel-shape = Shape: { $shape }
channel-shape-usual = Shape: the usual one of the model
channel-private = Images: private, only the person who asked sees them
channel-public = Images: everybody here sees them
channel-threads = Threads of this channel take this over, unless it is set in them.
channel-parent = What is not set in this thread comes from { $parent }.
command-admin-quota-name = quota
command-admin-quota-description = Set how many images one person may draw in 24 hours
option-quota-user-name = user
option-quota-user-description = The person
option-images-name = images
option-images-description = In 24 hours; leave out to go back to their roles
command-admin-channel-name = channel
command-admin-channel-description = Show or set what this channel or thread draws with
option-channel-model-name = model
option-channel-model-description = The model, unless somebody asks for another
option-channel-aspect-name = aspect
option-channel-aspect-description = The shape, unless somebody asks for another
option-channel-private-name = private
option-channel-private-description = Whether only the person who asked sees an image
option-channel-reset-name = reset
option-channel-reset-description = Clear what was set here before

## Pauses and quiet hours

# $until is a time of day; in sentences of the page (console-…), like every $…_at, a moment ("in 5 minutes").
card-paused-until = ⏸️ paused until { $until }: { $reason }
card-paused-until-by-moderator = ⏸️ paused by a moderator until { $until }
console-paused-until = ⏸️ paused: { $reason }. Drawing resumes { $until }.
console-paused-until-by-moderator = ⏸️ paused by a moderator. Drawing resumes { $until }.
pause-quiet-hours = quiet hours
# $opens_at is written either way.
queue-full-paused = The queue is full: { $waiting } of { $limit } places are taken, and it is paused. There will be room once it resumes.
queue-full-paused-until = The queue is full: { $waiting } of { $limit } places are taken, and it is paused. Please try again when it resumes: { $opens_at }.
too-many-jobs-paused =
    You already have { $active ->
        [one] one request
       *[other] { $active } requests
    } waiting, the limit is { $limit } at a time, and the queue is paused. You can ask for the next one once it resumes, or make room at once with `/cancel`.
too-many-jobs-paused-until =
    You already have { $active ->
        [one] one request
       *[other] { $active } requests
    } waiting, the limit is { $limit } at a time, and the queue is paused. You can ask for the next one after it resumes ({ $opens_at }), or make room at once with `/cancel`.
console-too-many-jobs-paused =
    You already have { $active ->
        [one] one request
       *[other] { $active } requests
    } waiting, the limit is { $limit } at a time, and the queue is paused. You can ask for the next one once it resumes, or make room at once by cancelling one.
console-too-many-jobs-paused-until =
    You already have { $active ->
        [one] one request
       *[other] { $active } requests
    } waiting, the limit is { $limit } at a time, and the queue is paused. You can ask for the next one after it resumes ({ $opens_at }), or make room at once by cancelling one.
admin-next-quiet = Quiet hours begin at { $next_at }.
option-pause-until-name = until
option-pause-until-description = Resume by itself then: 30m, 2h, 18:00, 2026-12-24 18:00

## History

not-of-this-server = Image #{ $job_id } was not drawn on this server. Only the person who asked for it can use it here.
posted-own = 🖼️ Image #{ $job_id } by { $owner }
posted-of-other = 🖼️ Image #{ $job_id } by { $owner } · posted by { $who }
button-post = 📣 Post here
history-line-removed = **#{ $job_id }** · { $when } · 🛡️ removed by a moderator
history-line-removed-because = **#{ $job_id }** · { $when } · 🛡️ removed by a moderator: { $reason }
history-private = 🔒 private
history-spoiler = 🙈 spoiler
history-kept = ⭐
history-days = 📅 { $days }
history-cut = The search has come as far as #{ $job_id }. There may be more beyond it.
history-nothing-yet = Nothing matches “{ $search }” so far. There are more images to search.
history-newer = Newer
history-oldest = Oldest
history-search-older = Search older
history-search-newer = Search newer
history-back = Back to the list
history-pick = Pick an image to post, change or delete
history-picked-title = Image #{ $job_id }
history-sheet-alt = Small versions of { $numbers }
history-label = #{ $job_id } · { $age } · seed { $seed }
history-age-minutes = { $count ->
    [0] just now
   *[other] { $count } min
}
history-age-hours = { $count } h
history-age-days = { $count ->
    [one] { $count } day
   *[other] { $count } days
}

## Settings and presets

settings-title = Your settings
settings-footer = These apply to /imagine wherever you type nothing else. “reset” clears them.
settings-as-model = as the model draws
settings-usual-model = the usual one ({ $model })
settings-model-gone = “{ $model }” is not here any more; using the usual one
settings-unreadable = ⚠️ (what was stored cannot be read and does not count)
settings-no-words = nothing
settings-not-chosen = not chosen: off, unless the channel says otherwise
settings-on = on
settings-off = off
mine-aspect = Shape
mine-steps = Steps
mine-suffix = Added to every prompt
mine-model = Model
mine-ping = When you waited long
mine-language = Language of my private answers
mine-private = Private images
mine-private-to = Private images reach you
mine-spoiler = Spoilers
reset-all = Everything
language-of-discord = That of your Discord
private-to-dm = By direct message
private-to-button = Behind a button in the channel that only you can open
option-aspect-name = aspect
option-steps-name = steps
option-suffix-name = suffix
option-suffix-description = Words that are added to every prompt, unless you give a seed
option-model-name = model
option-language-name = language
option-language-description = The language of my private answers
option-private-name = private
option-private-description = Whether only you get to see the image
option-private-to-name = private_to
option-private-to-description = How private images reach you
option-spoiler-name = spoiler
option-spoiler-description = Whether the image is hidden until somebody clicks it; the prompt is not
option-reset-name = reset
option-reset-description = Which setting to clear
option-preset-description = One of your presets; what else you give here wins
setting-invalid = “{ $setting }” cannot have this value. Please choose one from the list.
words-only = Words that are added to prompts must be words only, at most { $most } characters: choose shape, size, seed and the like with their own options.
preset-name-invalid = A preset's name has 1 to { $most } letters, digits, emoji, spaces or dashes.
no-such-preset = You have no preset of this name. `/preset list` shows those there are.
preset-empty = This preset is empty. Please give it at least one setting.
too-many-presets = You already have { $limit } presets, and that is the limit. Please delete one first.
command-preset-name = preset
command-preset-description = Settings that you keep under a name
command-preset-save-name = save
command-preset-save-description = Keep settings under a name, those of an image or what you give
command-preset-list-name = list
command-preset-list-description = Show your presets
command-preset-delete-name = delete
command-preset-delete-description = Delete one of your presets
option-name-name = name
option-image-name = image
option-prefix-name = prefix
option-size-name = size
option-negative-name = negative
option-cfg-name = cfg
option-guidance-name = guidance
option-sampler-name = sampler
option-clip-skip-name = clip_skip
option-strength-name = strength
preset-name = The name of the preset
preset-image = The number of an image whose settings to keep, without words and seed
preset-prefix = Words that come before yours
preset-suffix = Words that come after yours
preset-strength = How much of a starting image is redrawn, over 0 to 1
preset-title = Your presets ({ $count } of { $limit })
preset-none = You have none yet. `/preset save` keeps one.
preset-shared = For everybody:
preset-footer = Use one with /imagine preset:
preset-saved = The preset **{ $name }** is saved: { $settings }
preset-deleted = The preset is deleted.
value-aspect = shape
value-size = size
value-steps = steps
value-model = model
value-strength = strength
defaults-model-gone = “{ $model }”, which you or this channel chose, is not here any more; using { $usual }.
defaults-unfit = { $model } does not support these settings of the preset, so they were left out: { $names }
defaults-words-left-out = There was no room left in the prompt for all words of your preset or settings.

## Private images and spoilers

button-show-me = 👁️ Show me
queue-private = 🔒 private
note-private-done = ✅ #{ $job_id } is done, and private. `/history` shows it to you alone.
private-waits-dm = 🔒 Private: only you see this. I will send you the image as a direct message.
private-waits-button = 🔒 Private: only you see this. When the image is ready, I will say so here, and only you can open it.
private-ready = 🔒 { $who } · your private image { $numbers } is ready. Only you can open it.
private-ended = 🔒 { $who } · your private image { $numbers } has ended. Only you can read why.
private-direct-hint = -# `/history` on the server shows it again, with its buttons.
private-sent-dm = ✅ Done: I sent you a direct message.
private-sent-button = ✅ Done: open it with this button, or with the one in the channel.
private-cancelled = 🚫 Cancelled. Nobody saw anything of it.

## Image input and the message menu

menu-use = Use as input
menu-vary = Vary
menu-info = Image info
menu-remove = Remove
form-file = Which file
form-picture = Which image
form-reason = Reason, told to the person who asked
form-file-use-title = Start from this image
form-file-vary-title = Vary this image
form-remove-title = Remove image #{ $job_id }
no-image-here = There is no image on this message that I could use: PNG, JPEG or WebP, as an attachment.
message-forgotten = I cannot see the files of that message any more. Please open its menu again.
not-our-message = I can only remove images that I drew. Please delete this message itself.
nothing-in-file = This file does not say how it was drawn.
file-says = { $writer ->
        [ours] -# Read from the file, as this bot writes it. Anybody can change what a file says.
        [a1111] -# Read from the file, as Stable Diffusion web UIs write it. Anybody can change what a file says.
       *[comfyui] -# Read from the file, as ComfyUI writes it. Anybody can change what a file says.
    }
request-lost = ⚠️ I was restarted before I had your image, so this request is lost. It cost you nothing; please ask again.
download-failed = The image could not be fetched from Discord. Please try again in a moment.
download-too-slow = Fetching the image from Discord took more than { $limit_s } seconds. Please try again, or use a smaller file.
option-image-description = An image to start from: PNG, JPEG or WebP
option-strength-description = How much of the image is redrawn: subtle, medium, strong, 0.6 or 60%
strength-choice = { $name ->
        [subtle] Subtle
        [medium] Medium
        [strong] Strong
       *[other] Strength
    } · { $value }
flags-taken-strength = strength { $value ->
        [subtle] subtle
        [medium] medium
        [strong] strong
       *[other] { $value }
    }
invalid-image-too-large = The starting image is larger than { $max_image_mib } MiB. Please use a smaller file.
invalid-image-too-many-pixels = The starting image has too many pixels. At most { $max_image_megapixels } million are allowed, { $max_whole_megapixels } million for PNG and WebP.
invalid-image-too-long = The starting image is too long and narrow: its longer side may be at most { $ratio } times the shorter one.
invalid-image-unreadable = This file cannot be read as an image. Please use a PNG, JPEG or WebP file.
invalid-image-not-offered = { $model } cannot start from an image. Please choose another model, or leave out the image.
invalid-strength-without-image = A strength says how much of a starting image is redrawn. Please add an image, or leave out the strength.

## Privacy

command-privacy-name = privacy
command-privacy-description = What is stored about you
command-privacy-show-name = show
command-privacy-show-description = See what is stored about you
command-privacy-export-name = export
command-privacy-export-description = Get a copy of your images and of everything stored about you
command-privacy-delete-name = delete
command-privacy-delete-description = Delete your images and everything stored about you
option-part-name = part
option-part-description = Which part of the copy, if it has several
privacy-title = What is stored about you
privacy-no-requests = No requests and no images.
privacy-counts = Requests: **{ $jobs }** · images: **{ $images }** ({ $mib } MiB) · kept ⭐: { $kept } · private: { $hidden } · waiting or being drawn: { $unfinished }
privacy-oldest = The oldest request was made { $when }.
privacy-settings = Settings: { $names }
privacy-presets = Presets: { $names }
privacy-own-limit = A moderator allowed you { $count ->
    [one] 1 image
   *[other] { $count } images
 } a day.
privacy-ban = You are banned until a moderator lifts the ban.
privacy-ban-until = Your ban from drawing ends, or ended, { $when }.
privacy-where-title = Where
privacy-where = On the computer that runs me: your Discord ID, your prompts with their settings and times in a database, images and starting images as files. Whoever runs me can see them. The messages are on Discord.
privacy-how-long-title = For how long
privacy-how-long =
    { $days ->
        [one] For a day after a request has ended.
       *[other] For { $days } days after a request has ended.
    } Images that you keep ⭐ stay until you let them go, settings and presets until you change them.
privacy-delete-title = What `/privacy delete` does
privacy-delete = It deletes your images (kept ones, too), prompts and what is cached of them, starting images, settings and presets, and my messages with your images. What you have waiting is cancelled. Today’s limits, bans and limits set by a moderator stay, under a code that reveals neither your name nor your ID.
privacy-stays-title = What it cannot delete
privacy-stays = Messages where I may not delete any more, copies that `/show`, a direct message or other people made, images that others drew from yours, other people’s requests with the same words, and backups elsewhere.
privacy-export =
    { $parts ->
        [one] Everything that is stored about you:
       *[other] Part { $part } of { $parts } of everything that is stored about you:
    } { $images ->
        [0] no images
        [one] 1 image
       *[other] { $images } images
    } in this file. Only you can see this message.
privacy-export-next = For the next part: `/privacy export part:{ $next }`
privacy-export-too-large =
    { $count ->
        [one] 1 image is
       *[other] { $count } images are
    } too large for a file on Discord ({ $names }). `/show` and *More*, *Original file* give you a smaller version; whoever runs me has the whole file.
privacy-export-missing =
    { $count ->
        [one] 1 image has
       *[other] { $count } images have
    } no file any more.
privacy-export-refused = Discord did not take the file: it is too large for this place. Please try on a server that takes larger files, or ask whoever runs me.
privacy-question = **Delete everything that is stored about you?**
    { $images ->
        [0] Prompts, settings and presets
        [one] 1 image, prompts, settings and presets
       *[other] { $images } images, prompts, settings and presets
    } will be gone for good{ $kept ->
        [0] { "" }
       *[other] , those that you keep ⭐, too
    }. What you have waiting is cancelled. `/privacy export` gives you a copy first.
privacy-button = 🗑️ Delete everything
privacy-erased = Everything that was stored about you is deleted. My messages with your images are deleted one after the other, as fast as Discord allows.
privacy-erased-soon = Everything that was stored about you is deleted. What is left of it in memory goes as soon as the image that is being drawn is finished, and my messages with your images go one after the other, as fast as Discord allows.
privacy-erasing = I am deleting everything that is stored about you. It takes longer than usual and goes on by itself, also after a restart; `/privacy show` says when nothing is left.
being-erased = Everything that is stored about you is being deleted. Please ask again in a moment.
already-exporting = A copy for you is being packed already. Please wait for it.

## Upscaling

# The number after × is how many times larger each side is.
button-upscale = ⬆️ Upscale
cannot-upscale = { $reason ->
        [again] Image #{ $job_id } is already upscaled.
       *[other] { $model } cannot upscale an image of this size.
    }
invalid-upscale-not-offered = { $model } cannot upscale images.
card-upscaled = Upscaled ×2. The command draws the image at the size it had before.
info-upscaled = Upscaled ×2, strength { $strength }
console-upscaled = { $settings } · upscaled ×2, strength { $strength }

## Operating

# Under the bot's name; at most 128 characters. It is read by everybody, on every server.
presence-idle = /imagine
presence-waiting = { $count } waiting
presence-waiting-for = { $count } waiting, about { $time }
presence-paused = paused
presence-paused-waiting = paused, { $count } waiting
presence-paused-until = paused until { $time }
presence-paused-waiting-until = paused until { $time }, { $count } waiting
span-seconds = { $count } s
span-minutes = { $count } min
span-hours = { $count } h
# To the operator.
alert-paused = ⚠️ No new images are being drawn. { $paused }
alert-paused-over = ✅ The queue has resumed.
alert-engine-failed = 🛑 The engine failed, so I am shutting down. Waiting images keep their places; the log says why.
alert-restarted = 🔁 I am back after stopping without warning: a crash, a power cut, or a killed process. { $count ->
        [0] No image was waiting.
        [one] One image kept its place.
       *[other] { $count } images kept their places.
    } { $lost ->
        [0] { "" }
        [one] One image failed: it was being drawn at every crash.
       *[other] { $lost } images failed: they were being drawn at every crash.
    }
alert-disk-low = { $is_full ->
        [1] 🛑 The disk is almost full: { $free_mib } MiB are free. Below { $floor_mib } MiB I accept no requests.
       *[other] ⚠️ The disk is getting full: { $free_mib } MiB are free. Below { $floor_mib } MiB I will accept no requests.
    }
alert-disk-low-over = ✅ There is room on the disk again: { $free_mib } MiB are free.
alert-permission-lost = ⚠️ I cannot post images in { $channel } on { $server } any more: Discord refuses it. Look at my permissions there. People get their images as direct messages, if those are open.
alert-permission-lost-over = ✅ I can post images in { $channel } on { $server } again.
alert-commands-lost = ⚠️ My commands were changed or removed ({ $where }) by something else. I registered them again; people see them after reloading Discord (Ctrl+R).
alert-commands-refused = ⚠️ I may not register my commands ({ $where }). Invite me again with the link of `imagine-bot invite`.
alert-commands-refused-over = ✅ My commands are registered.
alert-everywhere = on every server
alert-database-damaged = 🛑 My database is damaged or gone, so I am shutting down. “A damaged database” in docs/operating.md says what to do; nothing is drawn until then.
stats-waits = Waiting in 24 hours: half of the images within { $half }, 95 % within { $most }
stats-people = **Drawing time per person here**: 24 hours / 7 days
stats-person = { $who } · { $today } / { $week }
stats-models = **Images per model** in 24 hours: { $models }
stats-failures = **Failures** in 24 hours: { $failures }
stats-count = { $name } { $count }
stats-failure-generation-failed = drawing failed
stats-failure-out-of-memory = out of memory
stats-failure-timeout = took too long
stats-failure-interrupted = interrupted twice
stats-failure-model-missing = model files missing
stats-failure-invalid-spec = invalid settings
stats-failure-storage = disk
stats-failure-unreadable = damaged settings
stats-failure-newer-release = from a newer version
stats-failure-blocked = image check
stats-failure-other = other

## Models

model-demo = Demo: emoji scenes

## Translated prompts

prompt-translated = The model reads: { $text }
prompt-untranslated = ⚠️ The prompt could not be translated into English this time.
negative-foreign = ⚠️ This model reads English, and the negative prompt was not translated. Please write it in English.
help-translated = Prompts in other languages are put into English for models that read nothing else; the message shows both.

## Editing by words

failure-input-gone = An image that this one was to be made from is no longer stored. This cost you nothing; please ask again with the image.
stats-failure-input-gone = image no longer stored
invalid-references-too-many = An edit can use at most { $limit } images. Please use fewer.
invalid-references-not-offered = { $model } cannot edit images by words. Please choose another model, or leave out the images.
edit-started-from = { $model } cannot edit images by words, so it started from your image instead. Describe the whole image that you want.
edit-first-only = { $model } can use only one image, so it used the first.
edit-strength-unused = An edit has no strength, so the strength was left out.
card-edited = Edited by words from { $count ->
        [one] an image
       *[other] { $count } images
    }, which the command cannot include: on its own, the command draws a different image.
info-edited = Edited by words, from { $count ->
        [one] 1 image
       *[other] { $count } images
    }
form-change = What to change
form-change-hint = For example: make it night. With --strength 0.6, the image is redrawn instead.
form-change-title = Edit image #{ $job_id }
form-file-change-title = Edit this image
edit-say-what = Write in your reply what to change in the image, for example “make it night”.
edit-images-hidden = Discord does not show me images in other people’s messages. Use Apps → Use as input on that message, or attach the image to your reply.
edit-which = That message shows several images. Use Apps → Use as input on it to choose one.
edit-original-gone = The message that you replied to was deleted.
edit-from-private = This image will be private, so it comes to you as a direct message.
option-image-edit-description = An image to edit by words; with a strength, an image to start from
option-image2-description = A second image that the edit uses
option-image3-description = A third image that the edit uses
edit-word-refused = Some of these words are not drawn here. Asked with `/imagine`, you alone are told which.
console-source-more = Another image
console-way = What happens with the image
console-way-edit = Edit it by words
console-way-start = Start from it
console-edited = { $settings } · edited from { $count ->
        [one] 1 image
       *[other] { $count } images
    }

## LoRAs

invalid-loras-unreadable = A LoRA is written as its name, with a number behind it for its strength if you like: `ink:0.8, film`.
invalid-loras-unknown = There is no LoRA “{ $name }” here. With { $model } you can use: { $names }
invalid-loras-none-here = There is no LoRA “{ $name }” here, and none for { $model }.
invalid-loras-other-base = The LoRA “{ $name }” was made for other models than { $model }. It works with: { $models }
invalid-loras-no-base = The LoRA “{ $name }” was made for other models than { $model }, and none of those is here.
invalid-loras-many = An image can use at most { $most } LoRAs.
invalid-loras-weight = The strength of a LoRA must be a number from -{ $most } to { $most } other than 0, as in `ink:0.8`.
invalid-loras-not-offered = { $model } cannot use LoRAs. Please leave them out, or choose another model.
invalid-speed-unknown = The speed can only be `fast`. Leave it out for the usual one.
invalid-speed-not-offered = { $model } has no fast mode here. Please leave out the speed.
flags-taken-loras = LoRA { $value }
setting-loras = LoRAs
settings-loras = LoRA: { $loras }
lora-triggers = 💡 { $title } was trained on these words. Put one into your prompt to see more of it: { $words }
option-lora-description = Styles and the like, up to three: ink:0.8, film. The number is the strength
option-speed-description = Fast draws in far fewer steps
speed-fast = Fast: fewer steps
console-loras = LoRAs
console-loras-hint = Up to three, with a strength if you like: ink:0.8, film
console-speed = Speed
failure-lora-missing = A LoRA of this image is no longer here, or its file is damaged or does not fit the model. This cost you nothing; draw it without that LoRA, or tell the person who runs this bot.
stats-failure-lora-missing = LoRA missing

## Images of age-restricted channels

age-restricted = Image #{ $job_id } was drawn in an age-restricted channel, so it is shown in age-restricted channels only.
## Which model suits this computer, as `check` and `models` say it

recommended-both = { $first } { $second }
recommended-used = { $model } suits this computer: { $reads ->
        [zh] it reads English and Chinese, takes
        [en] it reads English, takes
       *[any] it takes
    } { $steps ->
        [one] 1 step
       *[other] { $steps } steps
    } per image, and its licence { $commercial ->
        [yes] allows commercial use
       *[no] does not allow commercial use
    }.
recommended-here = { $used } draws now; { $model } would suit this computer better and is here as well: { $reads ->
        [zh] it reads English and Chinese, takes
        [en] it reads English, takes
       *[any] it takes
    } { $steps ->
        [one] 1 step
       *[other] { $steps } steps
    } per image, and its licence { $commercial ->
        [yes] allows commercial use
       *[no] does not allow commercial use
    }.
recommended-fetch = { $used } draws now; { $model } would suit this computer better, and its { $size } GB have to be fetched: { $reads ->
        [zh] it reads English and Chinese, takes
        [en] it reads English, takes
       *[any] it takes
    } { $steps ->
        [one] 1 step
       *[other] { $steps } steps
    } per image, and its licence { $commercial ->
        [yes] allows commercial use
       *[no] does not allow commercial use
    }.
recommended-on-cpu-here = There is no GPU to draw on, so { $used } draws; { $model } is here as well and takes minutes per image.
recommended-on-cpu-fetch = There is no GPU to draw on, so { $used } draws; { $model } would bring all kinds of images at minutes each, for { $size } GB to fetch.
recommended-only-demo = { $model } is all that this computer can draw with: every other model needs another GPU or more memory.
recommended-unread = It reads English only, so prompts in Chinese need the translator: imagine-bot fetch translator.
recommended-commercial-here = For commercial use, take { $model }, which is here as well.
recommended-commercial-fetch = For commercial use, take { $model }, whose { $size } GB have to be fetched.

## LoRAs in presets

option-lora-name = lora

## Several images in one form

form-files = Which files, up to three
form-more = More images to look at
form-more-hint = Up to { $count }, if you like; three images in all.

## Negative prompts in English

negative-translated = In English, to avoid: { $text }
## Operating

command-admin-release-name = release
command-admin-release-description = Give the memory of the GPU back to other programs; the next image loads the model again
admin-release-done = The model has left the memory. The next image loads it again; `/admin pause` keeps it away.
admin-release-after-image = The model leaves the memory as soon as what is being drawn or loaded now is ready.
admin-release-nothing = No model was in memory.
admin-no-model = No model is in memory; the next image loads it.
flags-taken-fresh = drawn anew
card-repeat = 💡 This image was already here: the same words and settings with the same seed. Add `--fresh` to draw it again.
memory-taken = 🐢 Other programs use { $gib } GiB of the GPU’s memory, so this takes longer.
## The page: header, examples, images

page-model = { $model }
page-queue-idle = Ready to draw
page-language = Language
page-help = Help
page-close = Close
page-previous = Previous image
page-next = Next image
page-welcome = What would you like to see?
page-examples-demo = Press an example to put it into the form. The built-in demo model drew these images from these words.
page-examples-other = Press an example to put it into the form. These prompts suit { $model }.
page-image-label = { $prompt }, number { $job_id }, { $time }
page-look-closely = Look closely: { $prompt }, number { $job_id }
page-nothing-found = None of your images is like that.
page-kept-only = Only kept images
page-all-models = All models
page-models = Model
page-select = Select
page-select-done = Done
page-selected = { $n } selected
page-zip = ⬇ Download as ZIP
page-keep = ⭐ Keep
page-delete = 🗑️ Delete
page-compare = Compare
page-compare-hint = Select exactly two images to compare them.
page-too-many = At most { $most } images go into one ZIP file.
page-delete-one = Delete this image for good? The file and its prompt will be gone. It still counts toward today's limit.
page-delete-many = Delete these { $n } images for good? The files and their prompts will be gone. They still count toward today's limit.
page-yes-delete = Delete for good
page-no = Cancel
page-drop = Drop the image to use it
page-used = The image is in the form, under “More settings”.
page-not-used = That is no image that can be used. PNG, JPEG and WebP work.
page-keys = Keys
page-key-draw = draws
page-key-arrows = go from image to image
page-key-enter = shows an image large
page-key-select = selects an image
page-key-keep = keeps an image, or lets it go
page-key-delete = deletes an image, after a question
page-key-escape = closes what is open
page-help-draw = Write what to draw and press Draw. You can close the page meanwhile: the image is drawn and waits for you here.
page-help-images = Press an image to see it large. Below it are the ways to go on: again with another seed, with changed words, with small changes, or larger.
page-help-input = To start from an image, drop it anywhere on this page or paste it. One of your own can be dragged as well.
page-kept = { $count ->
        [one] The image is kept.
       *[other] { $count } images are kept.
    }
page-kept-no-longer = { $count ->
        [one] The image is no longer kept.
       *[other] { $count } images are no longer kept.
    }
page-deleted = { $count ->
        [one] The image is deleted.
       *[other] { $count } images are deleted.
    }
page-help-known = { $count ->
        [one] The one thing that this model can draw
       *[other] All { $count } things that this model can draw
    }
page-help-private = { $days ->
        [one] Of the visitors of this page, only this browser sees your images; whoever runs the service can see them too. They are stored for a day; those that you keep (⭐) stay.
       *[other] Of the visitors of this page, only this browser sees your images; whoever runs the service can see them too. They are stored for { $days } days; those that you keep (⭐) stay.
    }

## The page's form, when it is offline, and its operator's corner

console-unsent = The service is not responding, so nothing was queued. What you wrote stays here: press Draw again when the service is back.
console-ready = The image is ready:
console-room = { $count ->
        [0] No image fits into your limits at the moment.
        [one] Only one image fits into your limits at the moment.
       *[other] Only { $count } images fit into your limits at the moment.
    }
console-drop-one = { $queued } of { $asked } queued; the last one does not fit: { $reason }
console-drop-some = { $queued } of { $asked } queued; { $dropped } do not fit: { $reason }
page-operator = Operator’s corner
operator-title = Operator’s corner
operator-back = Back to the page
operator-leave = Leave
operator-enter = Enter
operator-enter-hint = This part is for whoever runs the service.
operator-password = Operator’s password
operator-closed = This needs the operator’s password.
operator-wrong = This is not the operator’s password.
operator-too-many = Too many passwords at once. Please try again in a few seconds.
operator-queue = Queue
operator-queue-empty = Nothing is being drawn, and nobody is waiting.
operator-moving = Requests are accepted and drawn.
operator-day = In 24 hours: { $done } done, { $failed } failed, { $cancelled } cancelled, { $drawn } of drawing. Running for { $uptime }.
operator-cancel-one = Cancel image #{ $job_id }
operator-reason = Reason for a pause (optional, shown to everybody who waits)
operator-until = Until (optional)
operator-until-hint = 30m, 18:00
operator-pause = Pause
operator-resume = Resume
operator-runners = Runners
operator-runner = Runner { $number }
operator-runner-empty = no model in memory
operator-runner-holds = { $model } in memory
operator-runner-draws = is drawing image #{ $job_id }
operator-runner-loads = loading the model, about { $left } left
operator-runner-rests = failed several times, rests for { $left }
operator-runner-idle = idle
operator-storage = Storage
operator-storage-sizes = Database { $database } · { $images ->
        [one] 1 image file
       *[other] { $images } image files
    }, { $image_size } · { $free } free
operator-storage-unreadable = The sizes cannot be read; the log says why.
operator-limits = Limits
operator-limits-hint = They are changed in the config file, and hold from the next start.
operator-limit-max-waiting = Images waiting in total
operator-limit-max-active-per-user = Requests of one person at a time
operator-limit-max-images-per-day = Images of one person in 24 hours
operator-limit-cooldown-s = Seconds between two requests of one person while something waits
operator-limit-max-pixel-steps = Pixels × steps of one image
operator-limit-people-per-address = One network address may have as much as so many people
operator-limit-history-days = Days until an image is deleted
operator-limit-min-free-mib = Free MiB on the disk below which nothing is accepted
operator-log = Log
operator-log-hint = The latest lines, without prompts and passwords.
trouble-more = Help: docs/troubleshooting.md#{ $entry }

## Backups and the GPU's memory in the operator's corner

operator-backup = Back up now
operator-backup-made = Backup made and verified: { $file }, { $images ->
        [one] 1 image
       *[other] { $images } images
    }, { $size }.
operator-backup-lacks = { $count ->
        [one] One image that the database names cannot be opened, and is not in it.
       *[other] { $count } images that the database names cannot be opened, and are not in it.
    }
operator-backup-failed = No backup could be made: { $reason }
operator-release = Give the GPU’s memory back
operator-released = The model has left the memory. The next image loads it again; a pause keeps it away.

## What the parts of the page's fields are called aloud

page-reset = Back to the usual value
page-upload = Upload an image
page-paste = Paste an image
